//! The state of work in words: a line for a log, and one that fits a terminal.

use std::time::Duration;

use super::state::State;
use crate::base::printable::{WHOLE, in_one_line};
use crate::base::progress::{Turn, Unit};
use crate::report::numbers::{duration, short_bytes, spaced};

/// Columns of a bar, at most and at least.
const BAR: usize = 24;
const LEAST_BAR: usize = 6;
/// Columns that a name keeps before anything else but the share is left out.
const NAME: usize = 32;

/// `model 1 of 2 tiny, mmlu_anatomy: 34 % of 1.2 M tokens, 2300 tokens/s, 4 min left, acc 0.31 so far`.
pub fn line(state: &State, now: Duration) -> String {
    let turn = |Turn { name, number, of }: &Turn| match *of {
        1 => name.clone(),
        _ => format!("model {number} of {of} {name}"),
    };
    let done = match (state.share(), state.total) {
        (Some(share), Some(total)) => Some(format!("{} of {}", percent(share), amount(total, state.unit))),
        _ => some_done(state).map(|done| amount(done, state.unit)),
    };
    let rate = state.per_second(now).map(|rate| amount(rate as u64, state.unit) + "/s");
    let left = state.seconds_left(now).map(|seconds| duration(seconds) + " left");
    let running = state.running.as_ref().map(|r| format!("{} {:.2} so far", r.metric, r.value));
    let numbers: Vec<String> = [done, rate, left, running].into_iter().flatten().collect();
    let place = place(state, turn).join(", ");
    if numbers.is_empty() { place } else { format!("{place}: {}", numbers.join(", ")) }
}

/// The same in `width` columns: what says most stays longest.
pub fn bar(state: &State, now: Duration, width: usize) -> String {
    let turn = |Turn { name, number, of }: &Turn| match *of {
        1 => name.clone(),
        _ => format!("{number}/{of} {name}"),
    };
    let name = place(state, turn).join(" ");
    let share = state.share().map(percent).or_else(|| some_done(state).map(|done| short(done, state.unit)));
    let left = state.seconds_left(now).map(|seconds| duration(seconds) + " left");
    let running = state.running.as_ref().map(|r| format!("{} {:.2}", r.metric, r.value));
    let rate = state.per_second(now).map(|rate| short(rate as u64, state.unit) + "/s");
    let mut numbers = share.unwrap_or_default();
    // In the order in which they are missed least when they are left out, from the back.
    let room = width.saturating_sub(name.chars().count().min(NAME) + 1);
    for part in [left, running, rate].into_iter().flatten() {
        if numbers.chars().count() + 2 + part.chars().count() <= room {
            numbers = format!("{numbers}  {part}");
        }
    }
    let room = width.saturating_sub(numbers.chars().count() + 1);
    let name = cut(&name, room);
    let free = room - name.chars().count();
    match state.share() {
        Some(share) if free > LEAST_BAR => {
            let columns = (free - 1).min(BAR);
            let full = (share * columns as f64) as usize;
            let drawn = "━".repeat(full) + &"─".repeat(columns - full);
            format!("{name} {drawn} {numbers}")
        }
        _ => format!("{name} {numbers}"),
    }
}

/// Whose turn it is, in these words, and what is under way; a name that is in the other is said once.
fn place(state: &State, turn: impl Fn(&Turn) -> String) -> Vec<String> {
    let under_way = under_way(state).to_owned();
    let turn = state.turn.as_ref().filter(|turn| !under_way.contains(&turn.name)).map(turn);
    turn.into_iter().chain([under_way]).map(|name| in_one_line(&name, WHOLE).into_owned()).collect()
}

/// What is done, where something is.
fn some_done(state: &State) -> Option<u64> {
    Some(state.done).filter(|&done| done > 0)
}

/// What of the work is under way, or what the work is.
fn under_way(state: &State) -> &str {
    if state.item.is_empty() { &state.work } else { &state.item }
}

/// Text in so many columns.
fn cut(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    text.chars().take(columns.saturating_sub(1)).chain(['…']).take(columns).collect()
}

/// Nothing that is not all is 100 %.
fn percent(share: f64) -> String {
    format!("{} %", (share * 100.0) as u64)
}

fn amount(count: u64, unit: Unit) -> String {
    match unit {
        Unit::Bytes | Unit::Transfer => short_bytes(count),
        Unit::Tokens => count_of(count) + " tokens",
        Unit::Items => count_of(count),
    }
}

fn short(count: u64, unit: Unit) -> String {
    match unit {
        Unit::Bytes | Unit::Transfer => short_bytes(count),
        Unit::Tokens | Unit::Items => count_of(count),
    }
}

/// `2300`, `12 345`, and from a million on `1.2 M`.
fn count_of(count: u64) -> String {
    match count as f64 {
        n if n >= 999_950_000.0 => format!("{:.1} G", n / 1e9),
        n if n >= 999_950.0 => format!("{:.1} M", n / 1e6),
        _ => spaced(count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::progress::Running;

    /// A third of 1.2 million tokens in three minutes.
    fn scoring(of: usize) -> State {
        State {
            turn: Some(Turn { name: "smollm2-135m".to_owned(), number: 1, of }),
            work: "scoring".to_owned(),
            item: "mmlu_anatomy".to_owned(),
            running: Some(Running { metric: "acc".to_owned(), value: 0.3125 }),
            unit: Unit::Tokens,
            total: Some(1_204_000),
            done: 414_000,
            since: Duration::from_secs(20),
        }
    }

    const NOW: Duration = Duration::from_secs(200);

    #[test]
    fn a_line_says_all() {
        let expected = "model 1 of 2 smollm2-135m, mmlu_anatomy: 34 % of 1.2 M tokens, 2300 tokens/s, 6 min left, acc \
                        0.31 so far";
        assert_eq!(line(&scoring(2), NOW), expected);
        let one = State { running: None, item: String::new(), ..scoring(1) };
        assert_eq!(line(&one, NOW), "smollm2-135m, scoring: 34 % of 1.2 M tokens, 2300 tokens/s, 6 min left");
        let bytes = State {
            work: "model.safetensors".to_owned(),
            done: 3 << 30,
            unit: Unit::Bytes,
            ..State::default()
        };
        assert_eq!(line(&bytes, Duration::from_secs(30)), "model.safetensors: 3.2 GB, 107.4 MB/s");
        let reading = State { work: "reading smollm2-135m".to_owned(), ..scoring(2) };
        let reading = State { item: String::new(), running: None, total: None, done: 0, ..reading };
        assert_eq!(line(&reading, NOW), "reading smollm2-135m");
        assert_eq!(bar(&reading, NOW, 60).trim_end(), "reading smollm2-135m");
        let begun = State { done: 0, ..scoring(1) };
        assert!(line(&begun, Duration::from_secs(20)).contains("0 % of 1.2 M tokens, acc"));
    }

    #[test]
    fn a_bar_fits_any_width() {
        for width in 0..200 {
            for state in [scoring(1), scoring(12), State::default(), State { total: None, ..scoring(2) }] {
                let text = bar(&state, NOW, width);
                let done = || some_done(&state).map(|done| short(done, state.unit));
                let share = state.share().map(percent).or_else(done).unwrap_or_default();
                // The share stays even where there is no room for anything.
                let least = share.chars().count() + 1;
                assert!(text.chars().count() <= width.max(least), "{width}: {text:?}");
                assert!(text.contains(&share));
            }
        }
        let at = |width| bar(&scoring(2), NOW, width);
        assert_eq!(at(59), "1/2 smollm2-135m mmlu_anatomy 34 %  6 min left  acc 0.31");
        assert_eq!(at(79), "1/2 smollm2-135m mmlu_anatomy ━━━━────────── 34 %  6 min left  acc 0.31  2300/s");
        assert_eq!(at(24), "1/2 smollm2-135m m… 34 %");
    }

    #[test]
    fn counts_and_shares() {
        let counts = [7, 99_999, 999_949, 999_950, 1_250_000, 3_000_000_000].map(count_of);
        assert_eq!(counts, ["7", "99 999", "999 949", "1.0 M", "1.2 M", "3.0 G"]);
        assert_eq!(percent(0.9999), "99 %");
    }
}
