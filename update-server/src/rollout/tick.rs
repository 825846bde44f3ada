//! What time does: grants lapse, silence and deadlines fail, rings open, soaks end.

use channels::wire::Hold;
use jiff::Timestamp;

use super::draft::Draft;
use super::facts::Fleet;
use crate::served::Served;

impl Draft<'_> {
    /// One look at everything, to be taken every minute or so. `holds` are those in force.
    pub fn tick(&mut self, fleet: &dyn Fleet, served: &dyn Served, holds: &[Hold], now: Timestamp) {
        let _ = (fleet, served, holds, now);
    }
}
