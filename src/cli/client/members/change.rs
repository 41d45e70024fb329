//! Changes of the members: what the user asks for, the request to the leader, and the wait until
//! the change is done.

use std::io;
use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{
    Cause, Certainty, Error, ListedMember, MemberList, MemberName, MemberRequest,
    MembersUnchangedReason, NodeId,
};

use super::super::exit::Exit;
use super::super::json;
use super::super::once::print;
use super::super::options::ClientOptions;
use super::super::phrases::{no_answer, one_line};
use super::super::report::complain;
use super::super::shell::Shell;
use super::progress::Progress;
use super::{Named, complain_of, list, object, seen_by_leader};

/// The time between two looks at the members.
const LOOK_PERIOD: Duration = Duration::from_millis(300);

/// A change that the user asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Add(IpAddr),
    Replace { old: Named, address: Option<IpAddr> },
    Remove(Named),
    Cancel(Named),
}

/// The request for a change, and when the change is done.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Plan {
    request: MemberRequest,
    goal: Goal,
}

/// When a change is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goal {
    /// The node at this address is a voter, and the node that it replaces is not a member.
    Voter { address: IpAddr, old: Option<NodeId> },
    /// The node is not a member.
    Gone { node: NodeId, address: IpAddr },
}

/// How far a change is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    Done,
    /// How far the node is.
    Waits(String),
    /// The node is no longer a member.
    Withdrawn,
}

/// How a change ended.
#[derive(Clone, Debug, PartialEq)]
enum End {
    /// It is done. The text says what was done.
    Done(String, MemberList),
    /// It cannot be made.
    Refused { reason: &'static str, message: String },
    /// It is not done yet, and the leader goes on with it.
    Pending(String, MemberList),
    /// It is not known whether it is made, or no node could be asked.
    Failed(Error),
}

/// Makes a change, and prints how it ended.
pub(super) fn run(shell: &Shell, options: &ClientOptions, change: Change) -> io::Result<Exit> {
    let deadline = Instant::now() + options.change_time();
    let end = make(shell, change, deadline);
    if let (Some(form), end) = (shell.output.form(), &end) {
        let object = match end {
            End::Done(message, list) => object("done", form)
                .text("message", message)
                .raw("members", &list::json(list, form).end()),
            End::Refused { reason, message } => {
                object("refused", form).text("reason", reason).text("message", message)
            }
            End::Pending(message, list) => object("pending", form)
                .text("message", message)
                .raw("members", &list::json(list, form).end()),
            End::Failed(error) => json::result(&Err(error.clone()), form),
        };
        print(&(object.end() + "\n"))?;
    }
    let is_text = shell.output.form().is_none();
    Ok(match end {
        End::Done(message, list) => {
            if is_text {
                print(&format!("{message}\n{}\n", list::margin(&list)))?;
            }
            Exit::Fine
        }
        End::Refused { message, .. } => {
            if is_text {
                complain_of(options, &message);
            }
            Exit::Refused
        }
        End::Pending(message, _) => {
            if is_text {
                complain(&format!("{message}\n"));
            }
            Exit::Pending
        }
        End::Failed(error) => {
            if is_text {
                let hint = match error.certainty() {
                    Certainty::MayHaveRun => {
                        "the change may still be made: `member list` shows the members, and the \
                         same command may be given again: "
                    }
                    Certainty::DidNotRun | Certainty::Ran => "",
                };
                complain_of(options, &format!("{hint}{}", no_answer(&error)));
            }
            Exit::from(&error)
        }
    })
}

fn make(shell: &Shell, change: Change, deadline: Instant) -> End {
    let mut progress = Progress::new();
    let before = match seen_by_leader(&shell.client) {
        Ok(list) => list,
        Err(error) => return End::Failed(error),
    };
    let plan = match plan(change, &before) {
        Ok(plan) => plan,
        Err((reason, message)) => return End::Refused { reason: name_of(reason), message },
    };
    match &plan.goal {
        Goal::Gone { address, .. } => progress.show(&format!("{address}: is being removed")),
        Goal::Voter { address, old } => {
            let waits = before.waiting.iter().any(|node| node.address.ip() == *address);
            if waits || added(&before, *address, *old).is_some() {
                progress.show(&format!("{address}: is being added"));
            } else {
                ask_for_node(&mut progress, *address, &before);
            }
        }
    }
    let changed = match request(shell, &plan, &before, &mut progress, deadline) {
        Ok(list) => list,
        Err(end) => return *end,
    };
    match plan.goal {
        Goal::Gone { node, address } => {
            End::Done(format!("node {node} at {address} is no longer a member"), changed)
        }
        Goal::Voter { address, old } => {
            let Some(node) = added(&changed, address, old) else {
                let message = format!("the node at {address} is no longer a member");
                return refused(MembersUnchangedReason::NotAMember, &message);
            };
            wait(shell, (node, address, old), changed, &mut progress, deadline)
        }
    }
}

/// Sends the request until the leader has answered it or the deadline comes. Returns the members
/// after the change.
fn request(
    shell: &Shell,
    plan: &Plan,
    before: &MemberList,
    progress: &mut Progress,
    deadline: Instant,
) -> Result<MemberList, Box<End>> {
    let failed = |error| Box::new(End::Failed(error));
    let mut is_unsure = false;
    loop {
        let error = match shell.client.change_members(plan.request.clone()) {
            Ok(list) => return Ok(list),
            Err(error) => error,
        };
        is_unsure |= error.certainty() == Certainty::MayHaveRun;
        let is_late = Instant::now() >= deadline;
        match error.cause() {
            Some(Cause::MembersUnchanged { reason, message }) => match (reason, &plan.goal) {
                (MembersUnchangedReason::NoNodeWaits, Goal::Voter { address, .. }) if !is_late => {
                    ask_for_node(progress, *address, before);
                }
                // An earlier request, whose answer was lost, removed it.
                (MembersUnchangedReason::NotAMember, Goal::Gone { .. }) if is_unsure => {
                    return seen_by_leader(&shell.client).map_err(failed);
                }
                _ => return Err(Box::new(refused(*reason, message))),
            },
            Some(Cause::PermissionDenied(message)) => {
                let message = format!("not allowed: {}", one_line(message));
                return Err(Box::new(End::Refused { reason: "permission_denied", message }));
            }
            Some(cause @ Cause::BadRequest(_)) => {
                let message = one_line(&cause.to_string());
                return Err(Box::new(End::Refused { reason: "bad_request", message }));
            }
            _ if is_late || !shell.follows => {
                // An earlier request may have been carried out.
                let unsure = |cause: &Cause| Error::MayHaveRun { cause: cause.clone() };
                let error = error.cause().filter(|_| is_unsure).map_or(error.clone(), unsure);
                return Err(failed(error));
            }
            cause => {
                let cause = cause.map_or_else(|| error.to_string(), ToString::to_string);
                progress.show(&format!("not answered yet: {}", one_line(&cause)));
                thread::sleep(LOOK_PERIOD);
            }
        }
    }
}

/// Tells the user to start the node.
fn ask_for_node(progress: &mut Progress, address: IpAddr, members: &MemberList) {
    let leader = members.leader.map(|leader| leader.address.ip());
    let any = leader.or_else(|| members.members.first().map(|member| member.address.ip()));
    let join = any.map_or(String::new(), |any| format!(" --join {any}"));
    progress.ask(&format!(
        "waits for a node at {address}: start it there with --my-ip {address}{join}"
    ));
}

/// Waits until the node is a voter, or the deadline comes.
fn wait(
    shell: &Shell,
    (node, address, old): (NodeId, IpAddr, Option<NodeId>),
    mut list: MemberList,
    progress: &mut Progress,
    deadline: Instant,
) -> End {
    loop {
        let far = match stage(&list, node, old) {
            Stage::Done => {
                let instead = old.map_or(String::new(), |old| format!(", in place of node {old}"));
                return End::Done(format!("node {node} at {address} is a voter{instead}"), list);
            }
            Stage::Withdrawn => {
                let message = format!("the addition of the node at {address} was withdrawn");
                return refused(MembersUnchangedReason::NotAMember, &message);
            }
            Stage::Waits(far) => far,
        };
        progress.show(&format!("{address}: {far}"));
        if Instant::now() >= deadline {
            let message = format!(
                "pending, goes on by itself: {address} is a {far}; `member list` shows how far it \
                 is, and `member cancel {address}` withdraws it"
            );
            return End::Pending(message, list);
        }
        thread::sleep(LOOK_PERIOD.min(deadline.saturating_duration_since(Instant::now())));
        match seen_by_leader(&shell.client) {
            // A node that lags may not know of the change yet.
            Ok(later) if later.version >= list.version => list = later,
            Ok(_) => {}
            Err(error) => progress.show(&format!("{address}: {}", no_answer(&error))),
        }
    }
}

/// Returns how far the addition of a node is.
fn stage(list: &MemberList, node: NodeId, old: Option<NodeId>) -> Stage {
    let find = |node: NodeId| list.members.iter().find(|member| member.node == node);
    match find(node) {
        None => Stage::Withdrawn,
        Some(member) if member.is_learner => Stage::Waits(match list::lag(list, member) {
            Some(lag) => format!("learner, {lag} slots behind"),
            None => "learner that is not heard".to_owned(),
        }),
        Some(_) if old.is_some_and(|old| find(old).is_some()) => {
            Stage::Waits("voter, and the old member is not removed yet".to_owned())
        }
        Some(_) => Stage::Done,
    }
}

/// Returns the node that was added at the address.
fn added(list: &MemberList, address: IpAddr, old: Option<NodeId>) -> Option<NodeId> {
    let here = || list.members.iter().filter(|member| member.address.ip() == address);
    let replaces = |member: &&ListedMember| old.is_some() && member.replaces == old;
    let others = || here().filter(|member| Some(member.node) != old);
    let found = here().find(replaces).or_else(|| others().next())?;
    Some(found.node)
}

/// Returns the request for a change of these members.
fn plan(change: Change, list: &MemberList) -> Result<Plan, (MembersUnchangedReason, String)> {
    match change {
        Change::Add(address) => Ok(Plan {
            request: MemberRequest::Add { address, replaces: None },
            goal: Goal::Voter { address, old: None },
        }),
        Change::Replace { old, address } => {
            let all = find(list, old);
            // A replacement that is under way has two members, of which one replaces the other.
            let is_new = |member: &ListedMember| {
                member.replaces.is_some_and(|old| all.iter().any(|member| member.node == old))
            };
            let kept: Vec<_> = all.iter().filter(|member| !is_new(member)).copied().collect();
            let member = only(list, old, &kept)?;
            let address = address.unwrap_or(member.address.ip());
            let replaces = Some(MemberName::Node(member.node));
            Ok(Plan {
                request: MemberRequest::Add { address, replaces },
                goal: Goal::Voter { address, old: Some(member.node) },
            })
        }
        Change::Remove(name) => Ok(removal(only(list, name, &find(list, name))?)),
        Change::Cancel(name) => {
            let all = find(list, name);
            let learners: Vec<_> = all.iter().filter(|member| member.is_learner).copied().collect();
            match (all.first(), learners.is_empty()) {
                (Some(voter), true) => {
                    let (node, address) = (voter.node, voter.address.ip());
                    let message = format!(
                        "node {node} at {address} is a voter, so there is nothing to cancel: \
                         `member remove {address}` removes it"
                    );
                    Err((MembersUnchangedReason::AlreadyAMember, message))
                }
                _ => Ok(removal(only(list, name, &learners)?)),
            }
        }
    }
}

fn removal(member: &ListedMember) -> Plan {
    Plan {
        request: MemberRequest::Remove(MemberName::Node(member.node)),
        goal: Goal::Gone { node: member.node, address: member.address.ip() },
    }
}

/// Returns the members with this name.
fn find(list: &MemberList, name: Named) -> Vec<&ListedMember> {
    let fits = |member: &&ListedMember| match name {
        Named::Id(node) => member.node == node,
        Named::Ip(address) => member.address.ip() == address,
    };
    list.members.iter().filter(fits).collect()
}

/// Returns the only member that was found.
fn only<'a>(
    list: &MemberList,
    name: Named,
    found: &[&'a ListedMember],
) -> Result<&'a ListedMember, (MembersUnchangedReason, String)> {
    let name = match name {
        Named::Id(node) => format!("node {node}"),
        Named::Ip(address) => address.to_string(),
    };
    let each = |members: &mut dyn Iterator<Item = &ListedMember>| {
        let each = |member: &ListedMember| {
            let role = if member.is_learner { "learner" } else { "voter" };
            format!("{} at {} ({role})", member.node, member.address.ip())
        };
        members.map(each).collect::<Vec<_>>().join(", ")
    };
    match found {
        [member] => Ok(member),
        [] => {
            let members = each(&mut list.members.iter());
            let message = format!("{name} is not a member; the members are {members}");
            Err((MembersUnchangedReason::NotAMember, message))
        }
        several => {
            let several = each(&mut several.iter().copied());
            let message = format!("several members have the address {name}; name one by its id: ");
            Err((MembersUnchangedReason::SeveralMembers, message + &several))
        }
    }
}

fn refused(reason: MembersUnchangedReason, message: &str) -> End {
    let remedy = remedy(reason).map_or(String::new(), |remedy| format!("; {remedy}"));
    End::Refused { reason: name_of(reason), message: one_line(message) + &remedy }
}

/// Returns what to type after a refusal; `None` if its message says it already.
fn remedy(reason: MembersUnchangedReason) -> Option<&'static str> {
    match reason {
        MembersUnchangedReason::Unknown
        | MembersUnchangedReason::AlreadyAMember
        | MembersUnchangedReason::Invalid => Some("`member list` shows the members"),
        MembersUnchangedReason::AlreadyReplaced => Some("`member cancel` withdraws an addition"),
        MembersUnchangedReason::TooManyMembers => Some("`member remove` makes room"),
        MembersUnchangedReason::AddressInUse => Some("`member replace` with this address does so"),
        MembersUnchangedReason::NotAMember
        | MembersUnchangedReason::LastVoter
        | MembersUnchangedReason::NoMajority
        | MembersUnchangedReason::NoNodeWaits
        | MembersUnchangedReason::SeveralMembers => None,
    }
}

/// Returns the name of a reason in JSON.
fn name_of(reason: MembersUnchangedReason) -> &'static str {
    match reason {
        MembersUnchangedReason::Unknown => "unknown",
        MembersUnchangedReason::NotAMember => "not_a_member",
        MembersUnchangedReason::AlreadyAMember => "already_a_member",
        MembersUnchangedReason::AlreadyReplaced => "already_replaced",
        MembersUnchangedReason::TooManyMembers => "too_many_members",
        MembersUnchangedReason::LastVoter => "last_voter",
        MembersUnchangedReason::NoMajority => "no_majority",
        MembersUnchangedReason::Invalid => "invalid",
        MembersUnchangedReason::NoNodeWaits => "no_node_waits",
        MembersUnchangedReason::AddressInUse => "address_in_use",
        MembersUnchangedReason::SeveralMembers => "several_members",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Slot;

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([127, 0, 0, last])
    }

    /// Returns a list of these members: the id, the last number of the address, and for a learner
    /// the member that it replaces, or 0.
    fn list(members: &[(u64, u8, Option<u64>)]) -> MemberList {
        let member = |(node, at, learner): &(u64, u8, Option<u64>)| ListedMember {
            node: NodeId(*node),
            address: (ip(*at), 50051).into(),
            is_learner: learner.is_some(),
            replaces: learner.filter(|old| *old != 0).map(NodeId),
            reachable: true,
            complete: Slot(100 - u64::from(*at)),
        };
        let members = members.iter().map(member).collect();
        let (node, version) = (NodeId(1), Slot(7));
        MemberList { node, cluster: Some(9), version, leader: None, members, waiting: Vec::new() }
    }

    fn removes(node: u64, at: u8) -> Plan {
        let node = NodeId(node);
        Plan {
            request: MemberRequest::Remove(MemberName::Node(node)),
            goal: Goal::Gone { node, address: ip(at) },
        }
    }

    fn replaces(old: u64, at: u8) -> Plan {
        let (old, address) = (NodeId(old), ip(at));
        let replaces = Some(MemberName::Node(old));
        Plan {
            request: MemberRequest::Add { address, replaces },
            goal: Goal::Voter { address, old: Some(old) },
        }
    }

    fn reason(change: Change, list: &MemberList) -> &'static str {
        name_of(plan(change, list).expect_err("it cannot be made").0)
    }

    #[test]
    fn a_member_is_removed_by_its_id_however_the_user_names_it() {
        let three = list(&[(1, 1, None), (2, 2, None), (3, 3, None)]);
        assert_eq!(plan(Change::Remove(Named::Ip(ip(2))), &three), Ok(removes(2, 2)));
        assert_eq!(plan(Change::Remove(Named::Id(NodeId(3))), &three), Ok(removes(3, 3)));
        let (_, message) = plan(Change::Remove(Named::Ip(ip(9))), &three).expect_err("no member");
        assert!(message.starts_with("127.0.0.9 is not a member; the members are "), "{message}");
        assert_eq!(reason(Change::Remove(Named::Id(NodeId(9))), &three), "not_a_member");
    }

    #[test]
    fn a_replacement_has_the_address_of_the_old_member_unless_another_is_named() {
        let three = list(&[(1, 1, None), (2, 2, None), (3, 3, None)]);
        let same = Change::Replace { old: Named::Ip(ip(2)), address: None };
        assert_eq!(plan(same, &three), Ok(replaces(2, 2)));
        let other = Change::Replace { old: Named::Id(NodeId(2)), address: Some(ip(4)) };
        assert_eq!(plan(other, &three), Ok(replaces(2, 4)));
        let under_way = list(&[(1, 1, None), (2, 2, None), (7, 2, Some(2))]);
        assert_eq!(plan(same, &under_way), Ok(replaces(2, 2)));
    }

    #[test]
    fn only_a_learner_is_cancelled() {
        let both = list(&[(1, 1, None), (2, 2, None), (7, 2, Some(2)), (8, 3, Some(0))]);
        assert_eq!(plan(Change::Cancel(Named::Ip(ip(2))), &both), Ok(removes(7, 2)));
        assert_eq!(plan(Change::Cancel(Named::Ip(ip(3))), &both), Ok(removes(8, 3)));
        assert_eq!(reason(Change::Cancel(Named::Ip(ip(1))), &both), "already_a_member");
        assert_eq!(reason(Change::Cancel(Named::Ip(ip(9))), &both), "not_a_member");
        let (_, message) = plan(Change::Remove(Named::Ip(ip(2))), &both).expect_err("two members");
        assert!(message.contains("0000000000000007 at 127.0.0.2 (learner)"), "{message}");
    }

    #[test]
    fn an_addition_is_done_once_the_node_is_a_voter_and_the_old_one_is_gone() {
        let (old, new) = (Some(NodeId(2)), NodeId(7));
        let learner = list(&[(1, 1, None), (2, 2, None), (7, 2, Some(2))]);
        assert_eq!(added(&learner, ip(2), old), Some(new));
        let waits = Stage::Waits("learner, 1 slots behind".to_owned());
        assert_eq!(stage(&learner, new, old), waits);
        let both = list(&[(1, 1, None), (2, 2, None), (7, 2, None)]);
        assert!(matches!(stage(&both, new, old), Stage::Waits(_)));
        assert_eq!(stage(&both, new, None), Stage::Done);
        let replaced = list(&[(1, 1, None), (7, 2, None)]);
        assert_eq!(added(&replaced, ip(2), old), Some(new));
        assert_eq!(stage(&replaced, new, old), Stage::Done);
        assert_eq!(stage(&list(&[(1, 1, None)]), new, None), Stage::Withdrawn);
    }
}
