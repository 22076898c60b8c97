//! Two programs that want one folder for their runs, many times.

use crate::support::pairs::one_of_two_goes_on;

const PAIRS: usize = 500;

#[test]
#[ignore = "starts a thousand programs"]
fn of_five_hundred_pairs_on_one_new_folder_exactly_one_goes_on() {
    let met = one_of_two_goes_on(PAIRS);
    eprintln!("{met} of {PAIRS} pairs met");
}
