//! Random messages that satisfy all rules.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

use crate::blob::Blob;
use crate::kv::{Key, SessionNumber};
use crate::limits::NUMBERS_BELOW;
use crate::lpaxos::{
    Accept, Accepted, Ballot, Commit, Confirm, Confirmed, CopyId, Decree, Entry, FeatureLevel,
    FetchPage, Heartbeat, Low, Member, MemberEntry, MemberNotice, MemberRole, MemberSet, Message,
    NeedPrevious, NewerEntries, NodeId, Page, PageMerged, Patch, Position, Prepare, Previous,
    Progress, Promise, PromisePage, Proposal, Refused, RepairPage, RepairPatches, Slot, ToAcceptor,
    ToCandidate, ToLeader,
};
use crate::security::{Nonce, Proof, Token};
use crate::values::Value;
use crate::wire::{
    Admitted, AuthHello, Build, Challenge, ClientOutcome, ClientRequest, Introduction,
    ListedMember, MemberList, MemberName, MemberRequest, MemberStatus, MembersUnchangedReason,
    NodeStatus, Notice, PeerHello, ProgramError, Reason, Redirect, Refusal, Release, RequestBody,
    Role, Severity, Shortage, Signed, Sizes, WaitingNode, Welcome,
};

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0..10_u64, 0..NUMBERS_BELOW, Just(NUMBERS_BELOW - 1)]
}

fn slot_or_zero() -> impl Strategy<Value = Slot> {
    number().prop_map(Slot)
}

fn slot() -> impl Strategy<Value = Slot> {
    number().prop_map(|number| Slot(number.max(1)))
}

/// Two slots in ascending order.
fn two_slots() -> impl Strategy<Value = (Slot, Slot)> {
    (number(), number()).prop_map(|(a, b)| (Slot(a.min(b)), Slot(a.max(b))))
}

fn node() -> impl Strategy<Value = NodeId> {
    (1..=u64::MAX).prop_map(NodeId)
}

fn cluster() -> impl Strategy<Value = Option<u64>> {
    option::of(1..=u64::MAX)
}

fn ballot() -> impl Strategy<Value = Ballot> {
    let some = (number(), node()).prop_map(|(round, node)| Ballot { round, node });
    prop_oneof![1 => Just(Ballot::ZERO), 9 => some]
}

fn ip() -> impl Strategy<Value = IpAddr> {
    any::<IpAddr>().prop_map(|ip| ip.to_canonical())
}

fn bytes() -> impl Strategy<Value = Blob> {
    vec(any::<u8>(), 0..40).prop_map(Blob::from)
}

/// Short keys, which are stored in place, and longer ones, which are allocated.
fn key() -> impl Strategy<Value = Key> {
    prop_oneof![vec(any::<u8>(), 0..12), vec(any::<u8>(), 30..60)].prop_map(|k| Key::new(&k))
}

pub(super) fn patch() -> impl Strategy<Value = Arc<Patch<Key, Blob>>> {
    btree_map(key(), option::of(bytes()), 0..6).prop_map(|writes| Arc::new(Patch::new(writes)))
}

fn entry() -> impl Strategy<Value = Entry<Blob>> {
    (option::of(bytes()), slot()).prop_map(|(value, version)| Entry { value, version })
}

/// A page, and the last key of the page before it, which is below all its keys.
pub(super) fn page() -> impl Strategy<Value = (Key, Page<Key, Blob>)> {
    let more = any::<(bool, bool)>();
    (btree_map(key(), entry(), 0..8), more).prop_map(|(entries, (more, beyond))| {
        let prefixed = |key: &[u8]| Key::joined(&[&[1], key]);
        let entries: Vec<_> = entries.into_iter().map(|(k, e)| (prefixed(&k), e)).collect();
        let last = entries.last().map(|(key, _)| key.clone());
        let next = match (more, beyond, last) {
            (false, _, _) => None,
            (true, false, Some(last)) => Some(last),
            (true, _, _) => Some(Key::new(&[2])),
        };
        (Key::new(&[0]), Page { entries, next })
    })
}

fn member_set() -> impl Strategy<Value = MemberSet> {
    let member = (any::<bool>(), "[a-z0-9.:]{0,40}");
    let members = btree_map(node(), member, 0..6);
    (members, node(), option::of(node())).prop_map(|(members, voter, replaces)| {
        let member = |(node, (is_learner, address))| {
            let role = if is_learner { MemberRole::Learner } else { MemberRole::Voter };
            Member { node, address, role, replaces: None }
        };
        let mut members: Vec<Member> = members.into_iter().map(member).collect();
        members.retain(|member| member.node != voter);
        let replaces = replaces.filter(|old| *old != voter);
        members.push(Member { replaces, ..Member::voter(voter, String::new()) });
        MemberSet::new(members).expect("each id occurs once, and there is a voter")
    })
}

fn some_member_entry() -> impl Strategy<Value = MemberEntry> {
    (member_set(), slot()).prop_map(|(members, version)| MemberEntry { members, version })
}

fn member_entry() -> impl Strategy<Value = Option<MemberEntry>> {
    option::of(some_member_entry())
}

/// A decree.
pub(super) fn decree() -> impl Strategy<Value = Decree<Key, Blob>> {
    (patch(), option::of(member_set())).prop_map(|(patch, members)| Decree { patch, members })
}

fn proposal() -> impl Strategy<Value = Proposal<Key, Blob>> {
    (ballot(), slot(), decree()).prop_map(|(ballot, slot, decree)| Proposal {
        ballot,
        slot,
        decree,
    })
}

fn heartbeat() -> impl Strategy<Value = Heartbeat> {
    let state = (any::<bool>(), option::of(ballot()), any::<bool>(), any::<u64>());
    let low = (any::<bool>(), any::<bool>()).prop_map(|(memory, disk)| Low { memory, disk });
    let more = (low, any::<u32>().prop_map(FeatureLevel), slot_or_zero());
    (vec(node(), 0..6), state, number(), slot_or_zero(), more).prop_map(
        |(hears, state, round, complete, (low, feature_level, members_version))| {
            let (has_quorum, follows, is_reluctant, sync_ms) = state;
            Heartbeat {
                hears,
                has_quorum,
                follows,
                round,
                complete,
                sync_ms,
                is_reluctant,
                low,
                feature_level,
                members_version,
            }
        },
    )
}

fn promise() -> impl Strategy<Value = Promise<Key, Blob>> {
    let accepted = option::of(proposal());
    (ballot(), accepted, two_slots(), any::<bool>(), member_entry(), page()).prop_map(
        |(ballot, accepted, (floor, complete), full, members, (_, page))| Promise {
            ballot,
            accepted,
            complete,
            floor,
            full,
            members,
            page,
        },
    )
}

fn previous() -> impl Strategy<Value = Previous<Key, Blob>> {
    let newer = (page(), member_entry()).prop_map(|((_, page), members)| {
        Previous::Entries(NewerEntries { entries: Arc::new(page.entries), members })
    });
    prop_oneof![ballot().prop_map(Previous::Held), decree().prop_map(Previous::Decree), newer]
}

fn copy_id() -> impl Strategy<Value = CopyId> {
    (number(), two_slots(), number()).prop_map(|(number, (base, target), floor)| CopyId {
        number,
        base,
        target,
        floor: Slot(floor.min(target.0)),
    })
}

fn repair_page() -> impl Strategy<Value = RepairPage<Key, Blob>> {
    (ballot(), copy_id(), any::<bool>(), member_entry(), page()).prop_map(
        |(ballot, copy, first, members, (after, page))| {
            let after = (!first).then_some(after);
            RepairPage { ballot, copy, after, members, page }
        },
    )
}

/// A message of LPaxos, of every kind.
pub(super) fn message() -> impl Strategy<Value = Message<Key, Blob>> {
    let small_slot = (1..NUMBERS_BELOW / 2).prop_map(Slot);
    prop_oneof![
        heartbeat().prop_map(Message::Heartbeat),
        (ballot(), slot_or_zero(), slot_or_zero()).prop_map(
            |(ballot, complete, members_version)| Message::Acceptor(ToAcceptor::Prepare(Prepare {
                ballot,
                complete,
                members_version
            }))
        ),
        promise().prop_map(Message::from),
        (ballot(), slot_or_zero(), key()).prop_map(|(ballot, complete, after)| {
            Message::Acceptor(ToAcceptor::FetchPage(FetchPage { ballot, complete, after }))
        }),
        (ballot(), page()).prop_map(|(ballot, (after, page))| {
            Message::Candidate(ToCandidate::PromisePage(PromisePage { ballot, after, page }))
        }),
        (ballot(), ballot(), member_entry()).prop_map(|(ballot, promised, members)| {
            Message::Refused(Refused { ballot, promised, members })
        }),
        (ballot(), member_set(), slot()).prop_map(|(promised, members, version)| {
            let entry = MemberEntry { members, version };
            Message::MemberNotice(MemberNotice { promised, entry })
        }),
        (ballot(), slot(), decree(), previous()).prop_map(|(ballot, slot, decree, previous)| {
            Message::Acceptor(ToAcceptor::Accept(Accept { ballot, slot, decree, previous }))
        }),
        (ballot(), slot(), slot_or_zero()).prop_map(|(ballot, slot, complete)| {
            Message::Leader(ToLeader::Accepted(Accepted { ballot, slot, complete }))
        }),
        (ballot(), slot(), slot_or_zero()).prop_map(|(ballot, slot, complete)| {
            Message::Leader(ToLeader::NeedPrevious(NeedPrevious { ballot, slot, complete }))
        }),
        (ballot(), number()).prop_map(|(ballot, round)| Message::Acceptor(ToAcceptor::Confirm(
            Confirm { ballot, round }
        ))),
        (ballot(), number()).prop_map(|(ballot, round)| Message::Leader(ToLeader::Confirmed(
            Confirmed { ballot, round }
        ))),
        (ballot(), slot()).prop_map(|(ballot, slot)| Message::Acceptor(ToAcceptor::Commit(
            Commit { ballot, slot }
        ))),
        (ballot(), small_slot, vec(decree(), 0..4)).prop_map(|(ballot, first, decrees)| {
            Message::Acceptor(ToAcceptor::RepairPatches(RepairPatches { ballot, first, decrees }))
        }),
        repair_page().prop_map(Message::from),
        (ballot(), number(), key()).prop_map(|(ballot, number, after)| {
            Message::Leader(ToLeader::PageMerged(PageMerged { ballot, number, after }))
        }),
        (ballot(), slot_or_zero()).prop_map(|(ballot, complete)| Message::Leader(
            ToLeader::Progress(Progress { ballot, complete })
        )),
    ]
}

/// An introduction.
pub(super) fn introduction() -> impl Strategy<Value = Introduction> {
    (ip(), node(), vec(ip(), 0..5), vec((ip(), node()), 0..5), cluster()).prop_map(
        |(address, node, listed, known, cluster)| Introduction {
            address,
            node,
            listed,
            known,
            cluster,
        },
    )
}

fn build() -> impl Strategy<Value = Build> {
    ("[0-9a-z.+_-]{0,64}", any::<u32>()).prop_map(|(release, level)| Build {
        release: Release::new(&release).expect("a version"),
        feature_level: FeatureLevel(level),
    })
}

/// A greeting.
pub(super) fn role() -> impl Strategy<Value = Role> {
    let peer = (node(), ip(), cluster(), vec(ip(), 0..5), build(), any::<bool>()).prop_map(
        |(node, address, cluster, listed, build, is_joining)| {
            Role::Peer(PeerHello { node, address, cluster, listed, build, is_joining })
        },
    );
    let auth_hello = (ip(), any_32())
        .prop_map(|(address, nonce)| Role::AuthHello(AuthHello { address, nonce: Nonce(nonce) }));
    let client = option::of(vec(any::<u8>(), 1..100))
        .prop_map(|token| Role::Client { token: token.map(Token::new) });
    prop_oneof![client, peer, auth_hello]
}

fn any_32() -> impl Strategy<Value = [u8; 32]> {
    any::<[u8; 32]>()
}

/// The answer to an `AuthHello`.
pub(super) fn challenge() -> impl Strategy<Value = Challenge> {
    (any_32(), any_32())
        .prop_map(|(nonce, proof)| Challenge { nonce: Nonce(nonce), proof: Proof(proof) })
}

/// A payload with its proof.
pub(super) fn signed() -> impl Strategy<Value = Signed> {
    (vec(any::<u8>(), 0..100), any_32())
        .prop_map(|(payload, proof)| Signed { payload: payload.into(), proof: Proof(proof) })
}

/// The answer to a greeting.
pub(super) fn welcome() -> impl Strategy<Value = Welcome> {
    let reasons = [
        Reason::Unknown,
        Reason::Malformed,
        Reason::UnknownVersion,
        Reason::ListsDiffer,
        Reason::OtherCluster,
        Reason::UnknownNode,
        Reason::TooManyConnections,
        Reason::Closing,
        Reason::NotAuthorized,
        Reason::TlsExpected,
        Reason::DuplicateNode,
        Reason::NoCluster,
        Reason::ReleaseTooOld,
    ];
    prop_oneof![
        (node(), cluster(), build()).prop_map(|(node, cluster, build)| Ok(Admitted {
            node,
            cluster,
            build
        })),
        (prop::sample::select(reasons.to_vec()), ".{0,40}")
            .prop_map(|(reason, message)| Err(Refusal { reason, message })),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        ".{0,20}".prop_map(|text| Value::Text(text.as_str().into())),
        any::<i64>().prop_map(Value::Number),
        any::<bool>().prop_map(Value::Truth),
    ]
}

fn shortage() -> impl Strategy<Value = Shortage> {
    (any::<bool>(), vec(ip(), 0..5), ".{0,20}").prop_map(|(is_forming, waiting_for, message)| {
        Shortage { is_forming, waiting_for, message }
    })
}

fn session_number() -> impl Strategy<Value = SessionNumber> {
    (any::<u64>(), 1..NUMBERS_BELOW, 0..=100_u64).prop_map(|(session, number, below)| {
        SessionNumber { session, number, answered_below: below.min(number) }
    })
}

/// A client's request.
pub(super) fn request() -> impl Strategy<Value = ClientRequest> {
    let execute = (".{0,60}", btree_map("[a-z]{1,5}", value(), 0..4), option::of(session_number()))
        .prop_map(|(program, params, session)| {
            let params = params.into_iter().collect();
            RequestBody::Execute { program, params, session }
        });
    let body = prop_oneof![
        execute,
        (1..=u32::MAX).prop_map(|window| RequestBody::OpenSession { window }),
        Just(RequestBody::Status),
        (ip(), option::of(member_name())).prop_map(|(address, replaces)| {
            RequestBody::ChangeMembers(MemberRequest::Add { address, replaces })
        }),
        member_name().prop_map(|name| RequestBody::ChangeMembers(MemberRequest::Remove(name))),
        Just(RequestBody::ListMembers),
    ];
    (1..=u64::MAX, any::<u32>(), body).prop_map(|(id, timeout_ms, body)| ClientRequest {
        id,
        timeout_ms,
        body,
    })
}

fn member_name() -> impl Strategy<Value = MemberName> {
    prop_oneof![node().prop_map(MemberName::Node), ip().prop_map(MemberName::Address)]
}

fn member_list() -> impl Strategy<Value = MemberList> {
    let member = (redirect(), any::<(bool, bool)>(), option::of(node()), slot_or_zero()).prop_map(
        |(at, (is_learner, reachable), replaces, complete)| ListedMember {
            node: at.leader,
            address: at.address,
            is_learner,
            replaces,
            reachable,
            complete,
        },
    );
    let waiting = redirect().prop_map(|at| WaitingNode { node: at.leader, address: at.address });
    let nodes = (vec(member, 0..4), vec(waiting, 0..3));
    (node(), cluster(), slot_or_zero(), option::of(redirect()), nodes).prop_map(
        |(node, cluster, version, leader, (members, waiting))| MemberList {
            node,
            cluster,
            version,
            leader,
            members,
            waiting,
        },
    )
}

fn reason() -> impl Strategy<Value = MembersUnchangedReason> {
    prop_oneof![
        Just(MembersUnchangedReason::Unknown),
        Just(MembersUnchangedReason::NotAMember),
        Just(MembersUnchangedReason::AlreadyAMember),
        Just(MembersUnchangedReason::AlreadyReplaced),
        Just(MembersUnchangedReason::TooManyMembers),
        Just(MembersUnchangedReason::LastVoter),
        Just(MembersUnchangedReason::NoMajority),
        Just(MembersUnchangedReason::Invalid),
        Just(MembersUnchangedReason::NoNodeWaits),
        Just(MembersUnchangedReason::AddressInUse),
        Just(MembersUnchangedReason::SeveralMembers),
    ]
}

fn position() -> impl Strategy<Value = Position> {
    (slot_or_zero(), any::<u32>()).prop_map(|(slot, place)| Position { slot, place })
}

fn redirect() -> impl Strategy<Value = Redirect> {
    (node(), ip(), any::<u16>())
        .prop_map(|(leader, ip, port)| Redirect { leader, address: SocketAddr::new(ip, port) })
}

fn program_error() -> impl Strategy<Value = ProgramError> {
    (any::<u32>(), any::<u32>(), ".{0,40}").prop_map(|(line, column, message)| ProgramError {
        line,
        column,
        message,
    })
}

fn member() -> impl Strategy<Value = MemberStatus> {
    let known = (any::<bool>(), slot_or_zero(), option::of(any::<bool>()));
    (redirect(), known).prop_map(|(at, (reachable, complete, hears_this_node))| MemberStatus {
        node: at.leader,
        address: at.address,
        reachable,
        complete,
        hears_this_node,
    })
}

fn status() -> impl Strategy<Value = NodeStatus> {
    (
        (node(), cluster(), ".{0,10}", any::<u64>(), option::of(redirect())),
        (ballot(), slot_or_zero(), two_slots(), any::<u64>(), vec(member(), 0..4)),
        any::<[u64; 5]>(),
        vec(notice(), 0..3),
    )
        .prop_map(|(identity, state, sizes, notices)| {
            let (node, cluster, version, uptime_ms, leader) = identity;
            let (promised, slot, (floor, complete), entries, members) = state;
            NodeStatus {
                node,
                cluster,
                version,
                uptime_ms,
                leader,
                promised,
                slot,
                complete,
                floor,
                entries,
                sizes: Sizes {
                    memory_bytes: sizes[0],
                    disk_bytes: sizes[1],
                    replay_bytes: sizes[2],
                    last_sync_us: sizes[3],
                    longest_sync_us: sizes[4],
                },
                members,
                notices,
            }
        })
}

fn notice() -> impl Strategy<Value = Notice> {
    let severity =
        prop_oneof![Just(Severity::Info), Just(Severity::Warning), Just(Severity::Error),];
    ("[a-z-]{0,20}", severity, ".{0,40}").prop_map(|(kind, severity, message)| Notice {
        kind,
        severity,
        message,
    })
}

fn read() -> impl Strategy<Value = ClientOutcome> {
    let values: BoxedStrategy<BTreeMap<Blob, Blob>> = btree_map(bytes(), bytes(), 0..5).boxed();
    (values, option::of(value()), position())
        .prop_map(|(values, returned, position)| ClientOutcome::Read { values, returned, position })
}

/// An answer to a client, of every kind.
pub(super) fn outcome() -> impl Strategy<Value = ClientOutcome> {
    prop_oneof![
        read(),
        (any::<u64>(), any::<u32>(), position()).prop_map(|(session, window, position)| {
            ClientOutcome::SessionOpened { session, window, position }
        }),
        status().prop_map(ClientOutcome::Status),
        redirect().prop_map(ClientOutcome::RedirectTo),
        shortage().prop_map(ClientOutcome::NodesUnreachable),
        (option::of(redirect()), any::<bool>()).prop_map(|(leader, could_handle)| {
            ClientOutcome::LostLeadership { leader, could_handle }
        }),
        any::<bool>().prop_map(|could_handle| ClientOutcome::Closing { could_handle }),
        any::<bool>().prop_map(|could_handle| ClientOutcome::Timeout { could_handle }),
        ".{0,40}".prop_map(ClientOutcome::OutOfSpace),
        Just(ClientOutcome::TooManyRequests),
        program_error().prop_map(ClientOutcome::CompileError),
        program_error().prop_map(ClientOutcome::RuntimeError),
        (".{0,40}", position())
            .prop_map(|(message, position)| ClientOutcome::Aborted { message, position }),
        Just(ClientOutcome::SessionExpired),
        ".{0,40}".prop_map(ClientOutcome::NumberOutsideWindow),
        position().prop_map(|position| ClientOutcome::AnswerNotKept { position }),
        ".{0,40}".prop_map(ClientOutcome::BadRequest),
        ".{0,40}".prop_map(ClientOutcome::PermissionDenied),
        member_list().prop_map(ClientOutcome::MembersChanged),
        (reason(), ".{0,40}")
            .prop_map(|(reason, message)| { ClientOutcome::MembersUnchanged { reason, message } }),
        member_list().prop_map(ClientOutcome::MemberList),
    ]
}
