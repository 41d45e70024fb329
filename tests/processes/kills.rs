//! Nodes are killed at random, or restarted one after another, while clients send requests. Then
//! the history of the clients is judged.

use std::time::{Duration, Instant};

use lattistore_sim::simulator::Random;

use crate::fleet::clients::{Clients, History, Load};
use crate::fleet::judge::judge;
use crate::fleet::task::Task;
use crate::fleet::{Fleet, hold, test_seed, test_time, while_disturbed};

#[test]
fn no_acknowledged_write_is_lost_when_nodes_are_killed_at_random() {
    let seed = test_seed();
    let mut fleet = Fleet::loopback(3);
    let mut clients = Clients::new(&fleet.addresses, Load::default(), seed);
    let mut random = Random::new(seed, 0);
    let disturb = || kill_at_random(&mut fleet, &mut random, test_time(12));
    let ((), kills) = while_disturbed(|over| clients.run(over), disturb);
    clients.read_all();
    (0..fleet.len()).for_each(|node| fleet.wait_until_caught_up(node));
    println!("killed: {kills:?}");
    clients.expect_clean();
    expect_judges_find_planted_anomalies(&clients.history);
}

/// Plants anomalies in a history that was judged to be correct, and checks that the judges find
/// them.
fn expect_judges_find_planted_anomalies(clean: &History) {
    let is_read_at_end = |task: &Task| matches!(task, Task::Lists(_) | Task::Count { .. });
    let last = clean.iter().rposition(|operation| is_read_at_end(&operation.request)).unwrap();
    // The answer of another transaction; a position that is too low; writes that are lost.
    let mut planted: Vec<History> = vec![clean.clone(); 3];
    let last_operation = clean[last].clone();
    planted[0][last].outcome = clean[0].outcome.clone();
    planted[1][0].position = last_operation.position;
    planted[1][last].position = clean[0].position;
    planted[2].retain(|operation| {
        !(operation.ran() && matches!(operation.request, Task::Count { token } if token % 2 == 0))
    });
    for history in planted {
        assert!(!judge(&history).anomalies.is_empty(), "the judges find no anomaly");
    }
}

/// How often nodes were killed, by kind.
#[derive(Debug, Default)]
struct Kills {
    one: usize,
    leader: usize,
    two: usize,
    all: usize,
}

fn kill_at_random(fleet: &mut Fleet, random: &mut Random, time: Duration) -> Kills {
    let mut kills = Kills::default();
    let start = Instant::now();
    while start.elapsed() < time {
        // Some leaders are killed just after their election, others later.
        hold(Duration::from_millis(random.between(0, 1_500)));
        fleet.check_alive();
        let all: Vec<usize> = (0..fleet.len()).collect();
        let (count, victims) = match random.between(0, 3) {
            0 => (&mut kills.one, vec![*random.pick(&all)]),
            1 => (&mut kills.leader, fleet.leader_now().into_iter().collect()),
            2 => (&mut kills.two, vec![0, random.count(1, 2)]),
            _ => (&mut kills.all, all),
        };
        *count += victims.len().min(1);
        victims.iter().for_each(|node| fleet.kill(*node));
        hold(Duration::from_millis(random.between(0, 600)));
        victims.iter().for_each(|node| fleet.start(*node));
    }
    kills
}

#[test]
fn a_rolling_restart_loses_nothing() {
    let mut fleet = Fleet::loopback(3);
    let mut clients = Clients::new(&fleet.addresses, Load::default(), test_seed());
    let (start, time) = (Instant::now(), test_time(4));
    let disturb = || {
        let mut rounds = 0;
        while rounds == 0 || start.elapsed() < time {
            for node in 0..fleet.len() {
                fleet.stop(node);
                fleet.start(node);
                fleet.wait_until_caught_up(node);
            }
            rounds += 1;
        }
        rounds
    };
    let ((), rounds) = while_disturbed(|over| clients.run(over), disturb);
    clients.read_all();
    println!("rounds of restarts: {rounds}");
    clients.expect_clean();
}
