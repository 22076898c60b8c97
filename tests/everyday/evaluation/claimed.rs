//! Two programs that want one folder for their runs: one goes on, and no folder ever holds parts of two runs.

use crate::support::pairs::one_of_two_goes_on;

/// Pairs of programs that begin together; `acceptance/race.rs` starts many more.
const PAIRS: usize = 12;

#[test]
fn of_two_programs_with_one_new_folder_one_goes_on_and_nothing_is_mixed() {
    one_of_two_goes_on(PAIRS);
}
