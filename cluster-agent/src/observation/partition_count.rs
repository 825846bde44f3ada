//! Whether Kafka told of all partitions: a server leaves out, without a word, what the asker may not
//! describe. Compared with the active controller's own count.

use super::Finding;

/// Memory of one product's counts.
#[derive(Debug, Clone, Default)]
pub(super) struct PartitionCount {
    /// What was told since the last comparison.
    told: Option<u64>,
    /// The controller's count at the last comparison.
    counted: Option<u64>,
    short: Option<Finding>,
}

impl PartitionCount {
    /// Takes how many partitions were told of.
    pub(super) fn hear(&mut self, told: u64) {
        self.told = Some(told);
    }

    /// Compares with what the active controller counts now; `None` = it does not say.
    ///
    /// The lower one of its last two counts is taken, because topics come and go between the two
    /// questions. Nothing told of is believed only if the controller counts nothing as well.
    pub(super) fn compare(&mut self, counted: Option<u64>) -> Option<Finding> {
        if let Some(told) = self.told.take() {
            let limit = [self.counted, counted].into_iter().flatten().min();
            self.short = match limit {
                Some(limit) if told < limit => {
                    Some(Finding::PartitionsUntold { observed: told, limit: Some(limit) })
                }
                None if told == 0 => Some(Finding::PartitionsUntold { observed: 0, limit: None }),
                Some(_) | None => None,
            };
        }
        self.counted = counted.or(self.counted);
        self.short.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(told: u64, counted: &[Option<u64>]) -> Option<Finding> {
        let mut count = PartitionCount::default();
        let (last, before) = counted.split_last()?;
        for counted in before {
            assert_eq!(count.compare(*counted), None);
        }
        count.hear(told);
        count.compare(*last)
    }

    #[test]
    fn fewer_partitions_than_the_controller_counts_are_no_answer() {
        let short = Finding::PartitionsUntold { observed: 40, limit: Some(50) };
        assert_eq!(after(40, &[Some(50), Some(50)]), Some(short));
        assert_eq!(after(50, &[Some(50), Some(50)]), None);
        assert_eq!(after(51, &[Some(50), Some(50)]), None, "a topic that has just come");
    }

    #[test]
    fn a_topic_that_comes_or_goes_between_the_questions_is_no_omission() {
        assert_eq!(after(40, &[Some(40), Some(50)]), None);
        assert_eq!(after(40, &[Some(50), Some(40)]), None);
    }

    #[test]
    fn no_partitions_at_all_are_believed_only_with_the_controllers_word() {
        assert_eq!(after(0, &[Some(0)]), None);
        let unknown = Finding::PartitionsUntold { observed: 0, limit: None };
        assert_eq!(after(0, &[None]), Some(unknown));
        assert_eq!(after(3, &[None]), None, "a page without the count");
    }

    #[test]
    fn a_shortage_stands_until_brokers_are_asked_again() {
        let mut count = PartitionCount::default();
        count.hear(1);
        assert!(count.compare(Some(2)).is_some());
        assert!(count.compare(Some(1)).is_some());
        count.hear(1);
        assert_eq!(count.compare(Some(1)), None);
    }
}
