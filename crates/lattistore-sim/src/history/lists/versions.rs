//! What reads show of each list: the order of its elements, and how many of them each read saw.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::super::operation::Outcome;
use super::{Anomaly, ListOperation, Step};

/// The append of an element.
#[derive(Clone, Copy, Debug)]
struct Writer {
    operation: usize,
    /// Whether the same transaction appended another element to the same list afterwards.
    intermediate: bool,
}

/// A read of a list without the reading transaction's own appends.
#[derive(Clone, Copy, Debug)]
struct Read<'a> {
    operation: usize,
    list: &'a [u64],
}

/// What is known of all lists.
#[derive(Debug, Default)]
pub(super) struct Versions {
    /// By key.
    pub(super) lists: BTreeMap<u64, ListVersions>,
}

/// The history of one list.
#[derive(Debug, Default)]
pub(super) struct ListVersions {
    /// The elements that were read, in order, and the operation that appended each; `None` if that
    /// operation did not run.
    pub(super) elements: Vec<(u64, Option<usize>)>,
    /// The reads: the operation, and how many elements it read.
    pub(super) reads: Vec<(usize, usize)>,
    /// The operations that ran and appended an element that no read shows: they come after
    /// everything that was read.
    pub(super) unread: Vec<(usize, u64)>,
    /// Elements of reads that do not fit into the order: they were read, at an unknown place.
    unordered: Vec<u64>,
}

impl Versions {
    /// Infers the versions, and the anomalies of the reads themselves.
    pub(super) fn infer(history: &[ListOperation]) -> (Versions, Vec<Anomaly>) {
        let mut inference = Inference::new(history);
        let mut reads: BTreeMap<u64, Vec<Read<'_>>> = BTreeMap::new();
        for (index, operation) in history.iter().enumerate() {
            if let Some(response) = operation.response() {
                inference.external_reads(index, &operation.request, response, &mut reads);
            }
        }
        let mut versions = Versions::default();
        for (&key, reads) in &reads {
            versions.lists.insert(key, inference.list(key, reads));
        }
        inference.find_unread(&mut versions);
        (versions, inference.anomalies)
    }
}

struct Inference<'a> {
    history: &'a [ListOperation],
    writers: HashMap<(u64, u64), Writer>,
    anomalies: Vec<Anomaly>,
}

impl<'a> Inference<'a> {
    fn new(history: &'a [ListOperation]) -> Inference<'a> {
        let mut inference = Inference { history, writers: HashMap::new(), anomalies: Vec::new() };
        for (index, operation) in history.iter().enumerate() {
            let mut last: HashMap<u64, u64> = HashMap::new();
            for step in &operation.request {
                if let Step::Append { key, element } = *step {
                    inference.add_writer(index, key, element, last.insert(key, element));
                }
            }
        }
        inference
    }

    fn add_writer(&mut self, operation: usize, key: u64, element: u64, previous: Option<u64>) {
        if let Some(writer) = previous.and_then(|e| self.writers.get_mut(&(key, e)))
            && writer.operation == operation
        {
            writer.intermediate = true;
        }
        let writer = Writer { operation, intermediate: false };
        if let Some(first) = self.writers.insert((key, element), writer) {
            self.anomalies.push(Anomaly::ElementNotUnique {
                key,
                element,
                first: first.operation,
                second: operation,
            });
        }
    }

    /// Checks a transaction against itself, and collects what its reads saw of others.
    fn external_reads(
        &mut self,
        operation: usize,
        request: &[Step],
        response: &'a [Vec<u64>],
        reads: &mut BTreeMap<u64, Vec<Read<'a>>>,
    ) {
        let wanted = request.iter().filter(|step| matches!(step, Step::Read { .. })).count();
        if wanted != response.len() {
            self.anomalies.push(Anomaly::Malformed { operation });
            return;
        }
        let mut answers = response.iter();
        // By list: what the transaction read of it from outside, and the elements that it appended
        // itself.
        let mut own: HashMap<u64, (Option<&'a [u64]>, Vec<u64>)> = HashMap::new();
        for step in request {
            match *step {
                Step::Append { key, element } => own.entry(key).or_default().1.push(element),
                Step::Read { key } => {
                    let Some(list) = answers.next() else { break };
                    let (outside, appended) = own.entry(key).or_default();
                    let seen = list.strip_suffix(appended.as_slice());
                    let consistent = match (*outside, seen) {
                        (_, None) => false,
                        (Some(before), Some(now)) => before == now,
                        (None, Some(now)) => {
                            *outside = Some(now);
                            reads.entry(key).or_default().push(Read { operation, list: now });
                            true
                        }
                    };
                    if !consistent {
                        self.anomalies.push(Anomaly::Internal { operation, key });
                    }
                }
            }
        }
    }

    /// Infers the order of one list: that of the longest sound read. All other reads must be
    /// prefixes of it.
    fn list(&mut self, key: u64, reads: &[Read<'_>]) -> ListVersions {
        let mut by_length: Vec<&Read<'_>> = reads.iter().collect();
        by_length.sort_by_key(|read| std::cmp::Reverse(read.list.len()));
        let mut versions = ListVersions::default();
        let mut longest: Option<&Read<'_>> = None;
        let mut reported = HashSet::new();
        for read in by_length {
            if let Some(longest) = longest
                && longest.list.starts_with(read.list)
            {
                versions.reads.push((read.operation, read.list.len()));
            } else if !self.is_sound(key, read, &mut reported) {
                versions.unordered.extend(read.list);
            } else if let Some(longest) = longest {
                let at = longest.list.iter().zip(read.list).take_while(|(a, b)| a == b).count();
                versions.unordered.extend(read.list);
                self.anomalies.push(Anomaly::IncompatibleOrders {
                    key,
                    longest: longest.operation,
                    other: read.operation,
                    at,
                });
            } else {
                longest = Some(read);
                versions.reads.push((read.operation, read.list.len()));
                versions.elements =
                    read.list.iter().map(|&element| (element, self.writer(key, element))).collect();
            }
        }
        // Sorted in the order of the history, so that reports name the first read.
        versions.reads.sort_unstable();
        self.check_writers(key, &versions);
        versions
    }

    /// Returns the operation that appended the element, if it may have run.
    fn writer(&self, key: u64, element: u64) -> Option<usize> {
        let operation = self.writers.get(&(key, element))?.operation;
        let refused = matches!(self.history[operation].outcome, Outcome::DidNotRun);
        (!refused).then_some(operation)
    }

    /// Whether all elements of a read have a writer and occur once. Reports each element once.
    fn is_sound(&mut self, key: u64, read: &Read<'_>, reported: &mut HashSet<u64>) -> bool {
        let mut seen = HashSet::with_capacity(read.list.len());
        let mut sound = true;
        for &element in read.list {
            let operation = read.operation;
            let anomaly = if !self.writers.contains_key(&(key, element)) {
                Anomaly::OutOfThinAir { operation, key, element }
            } else if !seen.insert(element) {
                Anomaly::Duplicate { operation, key, element }
            } else {
                continue;
            };
            sound = false;
            if reported.insert(element) {
                self.anomalies.push(anomaly);
            }
        }
        sound
    }

    /// Finds reads of elements whose append did not run, and reads that end in the middle of a
    /// transaction.
    fn check_writers(&mut self, key: u64, versions: &ListVersions) {
        for (index, &(element, writer)) in versions.elements.iter().enumerate() {
            let Some(&Writer { operation: owner, .. }) = self.writers.get(&(key, element)) else {
                continue;
            };
            let saw = |&&(reader, length): &&(usize, usize)| {
                writer.is_none() && length > index && reader != owner
            };
            if let Some(&(operation, _)) = versions.reads.iter().find(saw) {
                self.anomalies.push(Anomaly::DirtyRead { operation, key, element, writer: owner });
            }
        }
        for &(operation, length) in &versions.reads {
            let seen = &versions.elements[..length];
            if let Some(&(element, _)) = seen.last()
                && let Some(&Writer { operation: writer, intermediate: true }) =
                    self.writers.get(&(key, element))
                && writer != operation
            {
                self.anomalies.push(Anomaly::IntermediateRead { operation, key, element, writer });
            }
        }
        self.check_own_future(key, versions);
    }

    /// Finds reads from outside that contain the reader's own elements, which it appended only
    /// later.
    fn check_own_future(&mut self, key: u64, versions: &ListVersions) {
        let mut first: HashMap<usize, usize> = HashMap::new();
        for (index, &(_, writer)) in versions.elements.iter().enumerate() {
            if let Some(writer) = writer {
                first.entry(writer).or_insert(index);
            }
        }
        for &(operation, length) in &versions.reads {
            if first.get(&operation).is_some_and(|&index| index < length) {
                self.anomalies.push(Anomaly::Internal { operation, key });
            }
        }
    }

    /// Finds the appends that ran and that no read of the list shows.
    fn find_unread(&self, versions: &mut Versions) {
        let mut seen: HashSet<(u64, u64)> = HashSet::new();
        for (&key, list) in &versions.lists {
            seen.extend(list.elements.iter().map(|&(element, _)| (key, element)));
            seen.extend(list.unordered.iter().map(|&element| (key, element)));
        }
        for (index, operation) in self.history.iter().enumerate() {
            if !operation.ran() {
                continue;
            }
            for step in &operation.request {
                if let Step::Append { key, element } = *step
                    && !seen.contains(&(key, element))
                    && let Some(list) = versions.lists.get_mut(&key)
                    && list.unread.last().is_none_or(|&(last, _)| last != index)
                {
                    list.unread.push((index, element));
                }
            }
        }
    }
}
