//! Speeds of other programs, from files that they or scripts around them write, beside those of this run.
//!
//! Two forms are read: what `llama-bench -o csv` prints, and a table with the columns `program,what,tokens,threads,value`
//! (`benches/peers/pytorch.py` writes one for PyTorch). Values are tokens a second.

use serde::Deserialize;

use super::measurement::{DECODE, PREFILL};
use super::{BenchError, Measurement};
use crate::report::Table;
use crate::report::table::{Cell, number, read_csv, text};

/// A speed of another program.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct PeerSpeed {
    /// The program, with what it multiplies.
    pub program: String,
    /// `prefill` or `decode`.
    pub what: String,
    /// Tokens of the sequence, or sequences that get one more token each.
    pub tokens: usize,
    /// Threads that worked.
    pub threads: usize,
    /// Tokens a second.
    pub value: f64,
}

/// The columns of a file that other programs' speeds stand in.
const COLUMNS: [&str; 5] = ["program", "what", "tokens", "threads", "value"];

/// A line of `llama-bench -o csv`; its other columns are not read.
#[derive(Debug, Deserialize)]
struct LlamaBench {
    model_type: String,
    n_threads: usize,
    n_prompt: usize,
    n_gen: usize,
    /// Tokens before those that are timed; older files do not say.
    #[serde(default)]
    n_depth: usize,
    avg_ts: f64,
}

impl LlamaBench {
    /// `None` for tests of prompts and answers together, which are neither, and of prompts after others.
    fn speed(self) -> Option<PeerSpeed> {
        let (what, tokens) = match (self.n_prompt, self.n_gen) {
            (prompt, 0) if prompt > 0 && self.n_depth == 0 => (PREFILL, prompt),
            (0, answer) if answer > 0 => (DECODE, 1),
            _ => return None,
        };
        // Architecture, size, and what is left: `BF16`, `Q4_K - Medium`, `all F32`.
        let form = self.model_type.splitn(3, ' ').nth(2).unwrap_or(&self.model_type);
        let form = ["all ", "mostly "].iter().find_map(|words| form.strip_prefix(words)).unwrap_or(form);
        let after = match self.n_depth {
            0 => String::new(),
            depth => format!(" after {depth} tokens"),
        };
        Some(PeerSpeed {
            program: format!("llama.cpp {form}{after}"),
            what: what.to_owned(),
            tokens,
            threads: self.n_threads,
            value: self.avg_ts,
        })
    }
}

/// Reads a file of other programs' speeds.
///
/// # Errors
/// A file of neither form, one without a speed, and speeds that are none.
pub fn read_peers(bytes: &[u8]) -> Result<Vec<PeerSpeed>, BenchError> {
    let wrong = |reason: String| BenchError::Peers { reason };
    let unreadable = |error: csv::Error| wrong(format!("found one that cannot be read: {error}"));
    let mut reader = csv::Reader::from_reader(bytes);
    let head: Vec<&str> = reader.headers().map_err(unreadable)?.iter().collect();
    let speeds: Vec<PeerSpeed> = if head.contains(&"avg_ts") && head.contains(&"model_type") {
        let lines: Vec<LlamaBench> = read_csv(bytes).map_err(unreadable)?;
        lines.into_iter().filter_map(LlamaBench::speed).collect()
    } else if let Some(missing) = COLUMNS.into_iter().find(|column| !head.contains(column)) {
        let found = head.iter().take(10).copied().collect::<Vec<_>>().join(", ");
        return Err(wrong(format!("found no column {missing:?} among {found}")));
    } else {
        read_csv(bytes).map_err(unreadable)?
    };
    if let Some(odd) = speeds.iter().find(|speed| !(speed.value > 0.0 && speed.value.is_finite())) {
        return Err(wrong(format!("found {} tokens a second of {}", odd.value, odd.program)));
    }
    if let Some(odd) = speeds.iter().find(|speed| ![PREFILL, DECODE].contains(&speed.what.as_str())) {
        return Err(wrong(format!("found {:?} in place of {PREFILL} or {DECODE}", odd.what)));
    }
    if speeds.is_empty() {
        return Err(wrong("found one without a speed of a prompt or an answer alone".to_owned()));
    }
    Ok(speeds)
}

/// A line of this run and one of another program that measure the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Beside<'a> {
    /// Of this run.
    pub own: &'a Measurement,
    /// Of the other program.
    pub peer: &'a PeerSpeed,
}

/// All pairs of lines that measure the same.
pub fn beside<'a>(own: &'a [Measurement], peers: &'a [PeerSpeed]) -> Vec<Beside<'a>> {
    let same = |own: &Measurement, peer: &PeerSpeed| own.what == peer.what && own.tokens == Some(peer.tokens);
    let of_peer = |peer: &'a PeerSpeed| {
        own.iter().filter(move |own| same(own, peer)).map(move |own| Beside { own, peer })
    };
    peers.iter().flat_map(of_peer).collect()
}

/// Speeds of this run beside those of other programs, and how many times as fast it is.
pub fn comparison<'a>(pairs: &'a [Beside<'a>]) -> Table<&'a Beside<'a>> {
    Table::of(pairs)
        .column(text("what"), |pair| &pair.own.what)
        .column(number("tokens"), |pair| pair.own.tokens)
        .column(text("precision"), |pair| &pair.own.precision)
        .column(number("value").titled("tokens/s"), |pair| {
            Cell::written(pair.own.value, |value: f64| format!("{value:.1}"))
        })
        .column(text("program").titled("beside").wraps(), |pair| {
            let threads =
                (pair.own.threads != pair.peer.threads).then(|| format!(", {} threads", pair.peer.threads));
            format!("{}{}", pair.peer.program, threads.unwrap_or_default())
        })
        .column(number("program_value").titled("tokens/s"), |pair| {
            Cell::written(pair.peer.value, |value: f64| format!("{value:.1}"))
        })
        .column(number("ratio"), |pair| {
            Cell::written(pair.own.value / pair.peer.value, |ratio: f64| format!("{ratio:.2}"))
        })
}

#[cfg(test)]
mod tests {
    use super::super::Goes;
    use super::*;

    const LLAMA_BENCH: &str = "build_commit,cpu_info,model_type,n_threads,n_prompt,n_gen,avg_ns,avg_ts,stddev_ts\n\
        \"abc\",\"a CPU, of two cores\",\"llama 1B BF16\",\"2\",\"512\",\"0\",\"1\",\"120.5\",\"0.5\"\n\
        \"abc\",\"a CPU, of two cores\",\"llama 1B BF16\",\"2\",\"0\",\"32\",\"1\",\"14.5\",\"0.5\"\n\
        \"abc\",\"a CPU, of two cores\",\"llama 1B BF16\",\"2\",\"512\",\"32\",\"1\",\"90\",\"0.5\"\n";

    #[test]
    fn what_llama_bench_prints() {
        let speeds = read_peers(LLAMA_BENCH.as_bytes()).unwrap();
        let of = |what: &str, tokens, value| PeerSpeed {
            program: "llama.cpp BF16".to_owned(),
            what: what.to_owned(),
            tokens,
            threads: 2,
            value,
        };
        assert_eq!(speeds, [of("prefill", 512, 120.5), of("decode", 1, 14.5)]);
        let medium = LLAMA_BENCH.replace("llama 1B BF16", "llama 1B Q4_K - Medium");
        assert_eq!(read_peers(medium.as_bytes()).unwrap()[0].program, "llama.cpp Q4_K - Medium");
    }

    #[test]
    fn speeds_of_the_same_stand_side_by_side() {
        let goes = Goes { median: 241.0, min: 200.0, max: 250.0 };
        let own = [
            Measurement::of_tokens(("prefill", "exact"), 2, 512, goes, 1000.0),
            Measurement::of_tokens(("prefill", "exact"), 2, 2048, goes, 1000.0),
        ];
        let mut peers = read_peers(LLAMA_BENCH.as_bytes()).unwrap();
        let torch =
            read_peers(b"program,what,tokens,threads,value,note\ntorch f32,prefill,2048,1,482,x\n").unwrap();
        peers.extend(torch);
        let pairs = beside(&own, &peers);
        let text = comparison(&pairs).text(100);
        let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[2], ["prefill", "512", "exact", "241.0", "llama.cpp", "BF16", "120.5", "2.00"]);
        assert_eq!(
            rows[3],
            ["prefill", "2048", "exact", "241.0", "torch", "f32,", "1", "threads", "482.0", "0.50"]
        );
        assert_eq!(rows.len(), 4);
    }

    #[test]
    fn what_is_no_speed_is_refused() {
        for (bytes, word) in [
            ("model,value\na,1\n", "no column \"program\" among model, value"),
            ("program,what,tokens,threads,value\n", "without a speed"),
            ("program,what,tokens,threads,value\na,prefill,1,1,NaN\n", "NaN tokens a second"),
            ("program,what,tokens,threads,value\na,prefill,1,1,-3\n", "-3 tokens a second"),
            ("program,what,tokens,threads,value\na,training,1,1,3\n", "\"training\""),
            ("program,what,tokens,threads,value\na,prefill,many,1,3\n", "cannot be read"),
        ] {
            let error = read_peers(bytes.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(word) && error.contains("llama-bench"), "{error}");
        }
    }
}
