//! How long no write is acknowledged while a leader is replaced, as users of the client library see
//! it: threads write, each with a client of its own; the leader is stopped; the longest time between
//! two acknowledgements of any of them is the gap.

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
/// How long a call of a client, or the return of a node, may take.
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
    let (Some(least), Some(most)) = (gaps.first(), gaps.last()) else { return Ok(()) };
    let median = gaps[gaps.len() / 2];
    let load = load_average();
    let (least, median, most) = (ms(*least), ms(median), ms(*most));
    match gap.output {
        Output::Text => println!(
            "least {least:.0} ms, median {median:.0} ms, most {most:.0} ms; load average {load}"
        ),
        Output::Json => println!(
            "{{\"stop\":\"{:?}\",\"rounds\":{},\"min_ms\":{least:.1},\"median_ms\":{median:.1},\
             \"max_ms\":{most:.1},\"load_average\":{load}}}",
            gap.stop,
            gaps.len(),
        ),
    }
    Ok(())
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Stops the leader under load once; the node is back when this returns.
fn round(gap: &Gap, cluster: &mut Cluster) -> Result<Duration, String> {
    let addresses = cluster.sockets();
    let leader = all_follow(&addresses)?;
    let node = cluster.node_at(leader).ok_or("the leader is at an unknown address")?;
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
    // Before that only the machine's own noise is to be seen.
    let since = stopped_at - Duration::from_millis(20);
    let relevant: Vec<_> = acknowledged.into_iter().filter(|at| *at >= since).collect();
    let gaps = relevant.windows(2).map(|two| two[1] - two[0]);
    gaps.max().ok_or("no write was acknowledged after the leader was stopped".to_owned())
}

/// Writes until told to stop; gives when each write was acknowledged.
fn write(addresses: &[SocketAddr], number: u16, over: &AtomicBool) -> Result<Vec<Instant>, String> {
    let client = Client::builder().addresses(addresses.iter().copied()).timeout(PATIENCE).build();
    let mut acknowledged = Vec::new();
    while !over.load(Ordering::Relaxed) {
        client.put(&format!("gap{number}"), "value").map_err(|error| error.to_string())?;
        acknowledged.push(Instant::now());
    }
    Ok(acknowledged)
}

/// Waits until all nodes run and agree on the leader; gives its address.
fn all_follow(addresses: &[SocketAddr]) -> Result<SocketAddr, String> {
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
    Err("the nodes do not agree on a leader".to_owned())
}
