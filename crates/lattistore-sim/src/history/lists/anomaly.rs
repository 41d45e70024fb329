//! The anomalies of the list judge, and their descriptions.

use std::fmt;

/// Why one transaction must come before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dependency {
    /// ww: the other transaction appended next after it.
    WriteWrite,
    /// wr: the other transaction read what it appended.
    WriteRead,
    /// rw: it did not see what the other transaction appended.
    ReadWrite,
    /// It ended before the other began.
    RealTime,
}

/// One edge of a cycle. Operations are named by their index in the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CycleEdge {
    /// The operation that must come first.
    pub from: usize,
    /// The operation that must come later.
    pub to: usize,
    /// The reason.
    pub dependency: Dependency,
    /// The list; `None` for real time.
    pub key: Option<u64>,
    /// The element that `to` appended next (ww), read last (wr), or appended unseen (rw). For wr
    /// and rw, `None` means "one of its elements".
    pub element: Option<u64>,
}

/// The classes of cycles, by the dependencies in them, from the worst to the subtlest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Only ww: writes interleave.
    G0,
    /// ww and wr: information flows in a circle.
    G1c,
    /// One rw and one ww on the same list: an update was overwritten unseen (Adya's P4).
    LostUpdate,
    /// One rw: read skew, a fractured read.
    GSingle,
    /// More than one rw, as in write skew.
    G2,
}

/// A cycle of dependencies: no serial order has all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cycle {
    /// Its class, without regard to real time.
    pub class: Class,
    /// Whether the cycle needs real time. Then the history may be serializable, but it is not
    /// strictly serializable: a stale read is a `GSingle` of this sort.
    pub real_time: bool,
    /// The edges; each begins where the one before it ends.
    pub links: Vec<CycleEdge>,
    /// A description of each operation of the cycle, in the order of `links`.
    pub operations: Vec<String>,
}

/// An anomaly of a list history. Operations are named by their index in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Anomaly {
    /// The answer does not have one list for each read.
    Malformed {
        /// The operation.
        operation: usize,
    },
    /// The same element is appended to the same list twice: the workload is broken, not the store.
    ElementNotUnique {
        /// The list.
        key: u64,
        /// The element.
        element: u64,
        /// The first operation that appends it.
        first: usize,
        /// The second operation that appends it.
        second: usize,
    },
    /// A transaction's reads contradict its own earlier reads and appends.
    Internal {
        /// The operation.
        operation: usize,
        /// The list.
        key: u64,
    },
    /// A list has an element twice.
    Duplicate {
        /// The operation that read it.
        operation: usize,
        /// The list.
        key: u64,
        /// The element.
        element: u64,
    },
    /// A list has an element that no operation appends.
    OutOfThinAir {
        /// The operation that read it.
        operation: usize,
        /// The list.
        key: u64,
        /// The element.
        element: u64,
    },
    /// Adya's G1a: a list has an element of a transaction that did not run.
    DirtyRead {
        /// The operation that read it.
        operation: usize,
        /// The list.
        key: u64,
        /// The element.
        element: u64,
        /// The operation that appended it.
        writer: usize,
    },
    /// Adya's G1b: a read saw a transaction's append, but not its next one to the same list.
    IntermediateRead {
        /// The operation that read it.
        operation: usize,
        /// The list.
        key: u64,
        /// The last element that it saw.
        element: u64,
        /// The operation that appended it.
        writer: usize,
    },
    /// Two reads of a list, neither of which is a prefix of the other: an update was lost, or
    /// replicas diverged.
    IncompatibleOrders {
        /// The list.
        key: u64,
        /// The operation that read the longest list.
        longest: usize,
        /// The operation that read another list.
        other: usize,
        /// The first index at which they differ.
        at: usize,
    },
    /// A cycle of dependencies.
    Cycle(Cycle),
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Class::G0 => "G0 (interleaved writes)",
            Class::G1c => "G1c (circular information flow)",
            Class::LostUpdate => "lost update",
            Class::GSingle => "G-single (read skew)",
            Class::G2 => "G2 (write skew)",
        })
    }
}

impl fmt::Display for CycleEdge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CycleEdge { from, to, .. } = self;
        let key = self.key.unwrap_or_default();
        let element = self.element.map_or("one of its elements".to_string(), |e| e.to_string());
        match self.dependency {
            Dependency::WriteWrite => {
                write!(
                    f,
                    "T{from} -ww-> T{to}: T{to} appended {element} to list {key} after T{from}"
                )
            }
            Dependency::WriteRead => {
                write!(
                    f,
                    "T{from} -wr-> T{to}: T{to} read {element} in list {key}, which T{from} \
                     appended"
                )
            }
            Dependency::ReadWrite => {
                write!(
                    f,
                    "T{from} -rw-> T{to}: T{from} read list {key} without {element}, which \
                     T{to} appended"
                )
            }
            Dependency::RealTime => {
                write!(f, "T{from} -rt-> T{to}: T{from} ended before T{to} began")
            }
        }
    }
}

impl fmt::Display for Cycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.class, if self.real_time { " with real time" } else { "" })?;
        for operation in &self.operations {
            write!(f, "\n  {operation}")?;
        }
        for link in &self.links {
            write!(f, "\n  {link}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Anomaly::Malformed { operation } => {
                write!(f, "T{operation} has an answer without one list for each read")
            }
            Anomaly::ElementNotUnique { key, element, first, second } => write!(
                f,
                "the workload appends {element} to list {key} twice, in T{first} and T{second}"
            ),
            Anomaly::Internal { operation, key } => {
                write!(f, "T{operation} contradicts its own reads and appends of list {key}")
            }
            Anomaly::Duplicate { operation, key, element } => {
                write!(f, "T{operation} read {element} twice in list {key}")
            }
            Anomaly::OutOfThinAir { operation, key, element } => {
                write!(f, "T{operation} read {element} in list {key}, which no operation appends")
            }
            Anomaly::DirtyRead { operation, key, element, writer } => write!(
                f,
                "G1a: T{operation} read {element} in list {key}, but T{writer} did not run"
            ),
            Anomaly::IntermediateRead { operation, key, element, writer } => write!(
                f,
                "G1b: T{operation} read list {key} up to {element}, in the middle of T{writer}"
            ),
            Anomaly::IncompatibleOrders { key, longest, other, at } => {
                write!(f, "list {key}: the reads of T{longest} and T{other} differ at index {at}")
            }
            Anomaly::Cycle(cycle) => cycle.fmt(f),
        }
    }
}
