//! Measures how long no write is acknowledged while a leader is replaced.
//!
//! Users of the client library would see the same: threads write, each with its own client, and the
//! leader is stopped. The longest time between two acknowledgements of any of them is the gap.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ::lattistore::Client;

use super::cluster::Cluster;
use super::options::{Gap, Output, Stop};
use super::start_nodes;
use crate::record::load_average;

/// The time of writing before the leader is stopped, and after.
const BEFORE: Duration = Duration::from_millis(1_000);
const AFTER: Duration = Duration::from_millis(3_000);
/// The longest time for a call of a client, or for the restart of a node.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn run(gap: &Gap) -> Result<(), String> {
    let mut cluster = start_nodes(gap.cluster, &gap.own)?;
    let mut gaps = Vec::new();
    for _ in 0..gap.rounds {
        gaps.push(round(gap, &mut cluster)?);
        if gap.output == Output::Text {
            println!("{:.0} ms", ms(gaps[gaps.len() - 1]));
        }
    }
    gaps.sort_unstable();
    let (Some(min), Some(max)) = (gaps.first(), gaps.last()) else { return Ok(()) };
    let median = gaps[gaps.len() / 2];
    let load = load_average();
    let (min, median, max) = (ms(*min), ms(median), ms(*max));
    match gap.output {
        Output::Text => {
            println!("min {min:.0} ms, median {median:.0} ms, max {max:.0} ms; load average {load}")
        }
        Output::Json => println!(
            "{{\"stop\":\"{:?}\",\"rounds\":{},\"min_ms\":{min:.1},\"median_ms\":{median:.1},\
             \"max_ms\":{max:.1},\"load_average\":{load}}}",
            gap.stop,
            gaps.len(),
        ),
    }
    Ok(())
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Stops the leader under load once, and restarts its node; returns the gap.
fn round(gap: &Gap, cluster: &mut Cluster) -> Result<Duration, String> {
    let addresses = cluster.sockets();
    let leader = common_leader(&addresses)?;
    let node = cluster.node_at(leader).ok_or("the leader is not a node of this cluster")?;
    let over = AtomicBool::new(false);
    let (stopped_at, mut acknowledged) = thread::scope(|scope| {
        let writers: Vec<_> = (0..gap.clients)
            .map(|number| {
                let (addresses, over) = (&addresses, &over);
                scope.spawn(move || write(addresses, number, over))
            })
            .collect();
        thread::sleep(BEFORE);
        let stopped_at = Instant::now();
        let stopped = match gap.stop {
            Stop::Kill => cluster.kill(node),
            Stop::Terminate => cluster.terminate(node),
        };
        thread::sleep(AFTER);
        over.store(true, Ordering::Relaxed);
        let mut acknowledged = Vec::new();
        for writer in writers {
            acknowledged.extend(writer.join().map_err(|_| "a writing thread failed")??);
        }
        stopped.map_err(|error| error.to_string())?;
        Ok::<_, String>((stopped_at, acknowledged))
    })?;
    cluster.wait(node).and_then(|()| cluster.start_node(node)).map_err(|e| e.to_string())?;
    acknowledged.sort_unstable();
    // Earlier gaps are noise of the machine.
    let since = stopped_at - Duration::from_millis(20);
    let relevant: Vec<_> = acknowledged.into_iter().filter(|at| *at >= since).collect();
    let gaps = relevant.windows(2).map(|two| two[1] - two[0]);
    gaps.max().ok_or("no write was acknowledged after the leader was stopped".to_owned())
}

/// Writes until `over` is set; returns when each write was acknowledged.
fn write(addresses: &[SocketAddr], number: u16, over: &AtomicBool) -> Result<Vec<Instant>, String> {
    let client = Client::builder().addresses(addresses.iter().copied()).timeout(PATIENCE).build();
    let mut acknowledged = Vec::new();
    while !over.load(Ordering::Relaxed) {
        client.put(&format!("gap{number}"), "value").map_err(|error| error.to_string())?;
        acknowledged.push(Instant::now());
    }
    Ok(acknowledged)
}

/// Waits until all nodes run and agree on the leader; returns its address.
///
/// # Errors
/// When they do not agree within `PATIENCE`.
fn common_leader(addresses: &[SocketAddr]) -> Result<SocketAddr, String> {
    let client = Client::builder().addresses(addresses.iter().copied()).build();
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        let leaders: Vec<_> = addresses
            .iter()
            .map(|address| client.status_of(*address).ok().and_then(|status| status.leader))
            .collect();
        if let Some(Some(leader)) = leaders.first()
            && leaders.iter().all(|other| other.as_ref() == Some(leader))
        {
            return Ok(leader.address);
        }
        thread::sleep(Duration::from_millis(20));
    }
    Err(format!("the nodes do not agree on a leader after {} s", PATIENCE.as_secs()))
}
