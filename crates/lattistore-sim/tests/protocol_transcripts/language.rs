//! The commands of a script (`main.rs` lists them), as calls of the cluster.

use std::error::Error;

use goldenscript::{ArgumentConsumer, Command, Context};
use lattistore::kv::Store;
use lattistore::lpaxos::{Config, MemberChange, NodeId, PageLimits};
use lattistore_sim::simulator::Registers;

use crate::cluster::{Cluster, Filter, name, scripted_election};
use crate::machines::Scripted;

type CommandResult<T> = Result<T, Box<dyn Error>>;

/// What a script does: it starts a cluster, and then drives it.
#[derive(Default)]
pub(crate) struct Session {
    cluster: Option<Box<dyn Driven>>,
}

/// A cluster of any machine.
trait Driven {
    fn command(&mut self, command: &str, args: &mut ArgumentConsumer<'_>) -> CommandResult<()>;

    fn take_transcript(&mut self) -> String;
}

impl goldenscript::Runner for Session {
    type Command = Command;

    fn run(&mut self, command: &Command, _: &Context) -> CommandResult<String> {
        let mut args = command.consume_args();
        let mut transcript = String::new();
        if command.name == "cluster" {
            self.cluster = Some(start(&mut args)?);
        } else {
            let cluster = self.cluster.as_mut().ok_or("a script begins with `cluster`")?;
            cluster.command(&command.name, &mut args)?;
            transcript = cluster.take_transcript();
        }
        args.reject_next()?;
        Ok(transcript)
    }
}

fn start(args: &mut ArgumentConsumer<'_>) -> CommandResult<Box<dyn Driven>> {
    let count: u64 = args.next_pos().ok_or("how many nodes? cluster 3")?.parse()?;
    let mut config = Config {
        election: scripted_election(),
        // What was heard once stays connected: the clocks of such a cluster jump.
        unreachable_ms: u64::MAX / 4,
        ..Config::default()
    };
    match args.take_key("election") {
        None => {}
        Some("heartbeats") => config = Config::default(),
        Some(other) => return Err(format!("there is no election by {other}").into()),
    }
    if let Some(bytes) = args.take_key("window-bytes") {
        config.window_bytes = bytes.parse()?;
    }
    if let Some(slots) = args.take_key("tombstone-slots") {
        config.tombstone_slots = slots.parse()?;
    }
    if let Some(entries) = args.take_key("page-entries") {
        // A register and its value count as 16 bytes.
        config.page = PageLimits { bytes: 16 * entries.parse::<usize>()?, ..config.page };
    }
    if let Some(requests) = args.take_key("busy-batch") {
        config.busy_batch = requests.parse()?;
    }
    if let Some(requests) = args.take_key("overlapping-batch") {
        config.overlapping_batch = requests.parse()?;
    }
    match args.take_key("machine") {
        None => Ok(Box::new(Cluster::<Registers>::start(count, config))),
        Some("store") => Ok(Box::new(Cluster::<Store>::start(count, config))),
        Some(other) => Err(format!("there is no machine {other}").into()),
    }
}

fn node(name: &str) -> Result<NodeId, String> {
    let number = name.strip_prefix('n').and_then(|number| number.parse().ok());
    number.map(NodeId).ok_or(format!("{name} is not the name of a node"))
}

fn next_node(args: &mut ArgumentConsumer<'_>) -> CommandResult<NodeId> {
    Ok(node(args.next_pos().ok_or("the name of a node is missing")?)?)
}

fn nodes(args: &mut ArgumentConsumer<'_>) -> Result<Vec<NodeId>, String> {
    std::iter::from_fn(|| args.next_pos()).map(node).collect()
}

fn filter(args: &mut ArgumentConsumer<'_>) -> Result<Filter, String> {
    Ok(Filter {
        from: args.take_key("from").map(node).transpose()?,
        to: args.take_key("to").map(node).transpose()?,
        except: args.take_key("except").map(str::to_owned),
        kind: args.next_pos().map(str::to_owned),
    })
}

impl<M: Scripted + 'static> Driven for Cluster<M> {
    fn take_transcript(&mut self) -> String {
        Cluster::take_transcript(self)
    }

    fn command(&mut self, command: &str, args: &mut ArgumentConsumer<'_>) -> CommandResult<()> {
        match command {
            "stand" => self.take_turn(next_node(args)?, true)?,
            "rest" => self.take_turn(next_node(args)?, false)?,
            "elect" => self.elect(next_node(args)?)?,
            "deliver" => self.deliver(&filter(args)?)?,
            "settle" => self.settle(&filter(args)?),
            "drop" => self.drop_messages(&filter(args)?)?,
            "delay" => {
                let label = args.take_key("as").ok_or("delay as what? as=NAME")?.to_owned();
                self.delay(&filter(args)?, &label)?;
            }
            "release" => self.release(args.next_pos().ok_or("release what?")?)?,
            "cut" => {
                let one = next_node(args)?;
                nodes(args)?.into_iter().for_each(|other| self.cut(one, other));
            }
            "isolate" => {
                let one = next_node(args)?;
                let others = self.all().into_iter().filter(|other| *other != one);
                others.for_each(|other| self.cut(one, other));
            }
            "heal" => self.heal(),
            "tick" => {
                let node = next_node(args)?;
                self.tick(node, args.next_pos().ok_or("how many ms?")?.parse()?);
            }
            "run" => self.run(args.next_pos().ok_or("how many ms?")?.parse()?),
            "slow" => self.set_slow(next_node(args)?, true),
            "fast" => self.set_slow(next_node(args)?, false),
            "reluctant" => nodes(args)?.into_iter().for_each(|node| self.set_reluctant(node, true)),
            "willing" => nodes(args)?.into_iter().for_each(|node| self.set_reluctant(node, false)),
            "write" => self.finish_write(next_node(args)?)?,
            "crash" => self.crash(next_node(args)?)?,
            "restart" => self.restart(next_node(args)?)?,
            "join" => self.join(next_node(args)?)?,
            "add" => {
                let (asked, node_id) = (next_node(args)?, next_node(args)?);
                let replaces = args.take_key("replaces").map(node).transpose()?;
                let text = match replaces {
                    None => format!("add {}", name(node_id)),
                    Some(old) => format!("add {} in place of {}", name(node_id), name(old)),
                };
                let address = name(node_id);
                let change = MemberChange::Add { node: node_id, address, replaces };
                self.change_members(asked, text, change)?;
            }
            "remove" => {
                let (asked, removed) = (next_node(args)?, next_node(args)?);
                let text = format!("remove {}", name(removed));
                self.change_members(asked, text, MemberChange::Remove(removed))?;
            }
            "members" => {
                let named = nodes(args)?;
                let named = if named.is_empty() { self.all() } else { named };
                named.into_iter().for_each(|node| self.show_members(node));
            }
            "state" => {
                let named = nodes(args)?;
                let named = if named.is_empty() { self.all() } else { named };
                named.into_iter().for_each(|node| self.show_state(node));
            }
            "wire" => self.show_wire(),
            request => {
                let node = next_node(args)?;
                let (text, request) = M::request(&self.memory, request, args)?
                    .ok_or_else(|| format!("there is no command {request} for this machine"))?;
                self.request(node, text, request)?;
            }
        }
        self.exchange_heartbeats();
        Ok(())
    }
}
