use std::path::Path;

use super::*;
use crate::base::progress::Silent;
use crate::config::{ModelConfig, RopeScaling};
use crate::engine::Pacing;
use crate::engine::score::Total;
use crate::kernels::{self, Precision};
use crate::model::{Checkpoint, Residence, unwatched};

/// Keeps what it is told.
#[derive(Default)]
struct Told {
    texts: Vec<(Vec<Token>, Option<End>)>,
    /// It wants no more after so many tokens.
    enough: Option<usize>,
}

impl Told {
    fn of(requests: usize) -> Self {
        Self { texts: vec![(Vec::new(), None); requests], enough: None }
    }
}

impl Listen for Told {
    fn token(&mut self, request: usize, token: Token) -> ControlFlow<()> {
        let (text, end) = &mut self.texts[request];
        assert!(end.is_none(), "it had ended");
        text.push(token);
        if self.enough == Some(text.len()) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn ended(&mut self, request: usize, end: End) -> Result<(), EngineError> {
        assert!(self.texts[request].1.replace(end).is_none(), "it ends once");
        Ok(())
    }
}

fn model(case: &str, precision: Precision, residence: Residence, wave_tokens: usize) -> LocalModel {
    let (folder, scaling) = case.split_once(' ').unwrap_or((case, ""));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(folder);
    let mut checkpoint = Checkpoint::open(&path).unwrap();
    if let ModelConfig::Llama(config) = &mut checkpoint.config {
        config.rope_scaling = match scaling {
            // Beyond the 64 positions that it was trained for.
            "dynamic" => RopeScaling::Dynamic { factor: 3.0 },
            "linear" => RopeScaling::Linear { factor: 2.0 },
            _ => config.rope_scaling,
        };
    }
    let network = checkpoint.load(kernels::by_name("native", precision).unwrap(), residence).unwrap();
    // Positions beyond the trained ones have angles too.
    let limits = Limits::new(&checkpoint.config, Some(300), wave_tokens);
    LocalModel::new(network, limits, Pacing::AsPlanned)
}

/// Prompts around the borders of blocks, many of which begin alike, some of them twice.
fn requests(count: usize) -> Vec<GenerateRequest> {
    let request = |number: usize| {
        let shared = [0, 3, 64, 100, 130][number % 5];
        let own = 1 + (number * 13) % 70;
        let token = |at: usize| if at < shared { at * 7 % 29 } else { (at * 11 + number / 2 * 5) % 31 };
        GenerateRequest {
            prompt: (0..shared + own).map(|at| token(at) as u32 + 3).collect(),
            most: 1 + number % 9,
            stop: Arc::from([]),
            sampling: None,
            stream: number as u64,
        }
    };
    (0..count).map(request).collect()
}

/// The most probable tokens after a prompt, each by a pass over everything before it.
fn plainly(model: &LocalModel, request: &GenerateRequest) -> Vec<Token> {
    let mut wave = Wave::default();
    let mut segment = wave.push(&request.prompt, None, request.prompt.len());
    let mut text = Vec::new();
    loop {
        let last = wave.tokens.len() - 1;
        let hidden = model.model.forward(&wave, Kept::Rows(&[last]), &mut unwatched).unwrap();
        let logits = model.model.logits(hidden.view());
        let total = Total::of_row(logits.row(0).to_slice().unwrap());
        let id = total.argmax as u32;
        text.push(Token { id, logprob: f64::from(logits[[0, total.argmax]]) - total.log_sum_exp });
        if text.len() == request.most {
            return text;
        }
        segment = wave.push(&[id], Some(segment), last + 2);
    }
}

const CASES: [&str; 6] = [
    "llama/gqa-tied",
    "llama/bias-wide-heads",
    "llama/gqa-tied dynamic",
    "llama/mha-untied linear",
    "bloom/heads-4",
    "bloom/residual-after-norm-untied",
];

#[test]
fn texts_have_the_bits_of_one_pass_for_each_token() {
    let requests = requests(75);
    let least = |model: &LocalModel| blocks_needed(&requests, model.limits).unwrap();
    for case in CASES {
        let model = model(case, Precision::Exact, Residence::Memory, 400);
        let expected: Vec<Vec<Token>> = requests.iter().map(|request| plainly(&model, request)).collect();
        // As few blocks as will do, and as many as could be used: other sequences are together then.
        for blocks in [least(&model), least(&model) + 7, 10_000] {
            let mut told = Told::of(requests.len());
            let counts = model.generate(&requests, blocks, &mut told, &Silent).unwrap();
            for ((text, end), expected) in told.texts.iter().zip(&expected) {
                assert_eq!(text, expected, "{case} in {blocks} blocks");
                assert_eq!(*end, Some(End::Length));
            }
            let written: u64 = expected.iter().map(|text| text.len() as u64).sum();
            let prompts: u64 = requests.iter().map(|request| request.prompt.len() as u64).sum();
            assert_eq!(counts.asked, prompts + written);
            // Every prompt's tokens once, and each written one but the last, which nothing comes after; and guesses.
            let least = counts.distinct - requests.len() as u64;
            assert!((least..least + 8 * written).contains(&counts.computed), "{case}: {counts:?}");
        }
    }
}

#[test]
fn texts_are_the_same_in_other_precisions_from_the_disk_and_alone() {
    let requests = requests(12);
    for precision in [Precision::Exact, Precision::Bf16, Precision::Int8] {
        let memory = model("llama/gqa-tied", precision, Residence::Memory, 10_000);
        let disk = model("llama/gqa-tied", precision, Residence::Disk, 150);
        let mut together = Told::of(requests.len());
        memory.generate(&requests, 10_000, &mut together, &Silent).unwrap();
        let mut streamed = Told::of(requests.len());
        disk.generate(&requests, 10_000, &mut streamed, &Silent).unwrap();
        assert_eq!(together.texts, streamed.texts);
        for (request, text) in requests.iter().zip(&together.texts) {
            let mut alone = Told::of(1);
            let needed = blocks_needed(std::slice::from_ref(request), memory.limits).unwrap();
            memory.generate(std::slice::from_ref(request), needed, &mut alone, &Silent).unwrap();
            assert_eq!(alone.texts[0], *text);
            assert_eq!(plainly(&memory, request), text.0);
        }
    }
}

#[test]
fn a_text_ends_by_an_id_by_its_length_or_by_whoever_listens() {
    let model = model("llama/gqa-tied", Precision::Exact, Residence::Memory, 400);
    let request = GenerateRequest { most: 9, ..requests(1).remove(0) };
    let whole = plainly(&model, &request);
    let stop = whole[4].id;
    let before = whole.iter().position(|token| token.id == stop).unwrap();
    let asked = [GenerateRequest { stop: Arc::from([58, stop]), ..request.clone() }, request];
    let mut told = Told::of(2);
    model.generate(&asked, 100, &mut told, &Silent).unwrap();
    assert_eq!(told.texts[0], (whole[..before].to_vec(), Some(End::Stop(stop))));
    assert_eq!(told.texts[1], (whole.clone(), Some(End::Length)));
    let mut told = Told { enough: Some(2), ..Told::of(1) };
    model.generate(&asked[1..], 100, &mut told, &Silent).unwrap();
    assert_eq!(told.texts[0], (whole[..2].to_vec(), Some(End::Broken)));
}

#[test]
fn what_does_not_fit_is_refused_with_the_numbers() {
    let model = model("llama/gqa-tied", Precision::Exact, Residence::Memory, 400);
    let long = GenerateRequest {
        prompt: vec![5; 290].into(),
        most: 11,
        stop: Arc::from([]),
        sampling: None,
        stream: 0,
    };
    let run = |request: &GenerateRequest, blocks| {
        model.generate(std::slice::from_ref(request), blocks, &mut Told::of(1), &Silent).unwrap_err()
    };
    let error = run(&long, 100);
    assert_eq!(error.request(), Some(0));
    for words in ["290 tokens", "11 more", "300 positions", "--max-length"] {
        assert!(error.to_string().contains(words), "{words}: {error}");
    }
    let fits = GenerateRequest { most: 10, ..long.clone() };
    let error = run(&fits, 9);
    assert_eq!(error, EngineError::CacheTooSmall { needed: 10, available: 9 });
    assert!(matches!(
        run(&GenerateRequest { prompt: Arc::from([]), ..fits.clone() }, 99),
        EngineError::EmptyContext { request: 0 }
    ));
    assert!(matches!(
        run(&GenerateRequest { prompt: Arc::from([61]), ..fits }, 99),
        EngineError::UnknownToken { token: 61, .. }
    ));
}

#[test]
fn what_is_drawn_depends_on_seed_and_stream_alone() {
    let model = model("llama/gqa-tied", Precision::Exact, Residence::Memory, 400);
    let sampling = Sampling { temperature: 60.0, top_k: 20, seed: 7, ..Sampling::default() };
    let drawn = |request: GenerateRequest| GenerateRequest { sampling: Some(sampling), most: 9, ..request };
    let requests: Vec<GenerateRequest> = requests(20).into_iter().map(drawn).collect();
    let run = |requests: &[GenerateRequest], blocks| {
        let mut told = Told::of(requests.len());
        model.generate(requests, blocks, &mut told, &Silent).unwrap();
        told.texts
    };
    let together = run(&requests, 10_000);
    assert_eq!(together, run(&requests, blocks_needed(&requests, model.limits).unwrap()));
    for (request, text) in requests.iter().zip(&together) {
        assert_eq!(run(std::slice::from_ref(request), 100)[0], *text);
        let other = GenerateRequest { stream: request.stream + 100, ..request.clone() };
        assert_ne!(run(&[other], 100)[0], *text);
    }
    // The same prompt many times: more answers than there are places.
    let many: Vec<_> = (0..70).map(|stream| GenerateRequest { stream, ..requests[3].clone() }).collect();
    let texts = run(&many, blocks_needed(&many, model.limits).unwrap());
    let distinct: std::collections::HashSet<Vec<u32>> =
        texts.iter().map(|(text, _)| text.iter().map(|token| token.id).collect()).collect();
    assert!(distinct.len() > 60, "{}", distinct.len());
    assert_eq!(texts[requests[3].stream as usize], together[3]);
}

/// A conversation: what was said before, what the model wrote, and something new, again and again.
#[test]
fn what_goes_on_from_a_kept_sequence_has_the_bits_of_a_new_one() {
    for case in CASES {
        let model = model(case, Precision::Exact, Residence::Memory, 400);
        let mut kept = KeptSequence::new(&model.model);
        let mut prompt: Vec<u32> = Vec::new();
        for turn in 0..6 {
            prompt.extend((0..[5, 20, 1, 64, 3, 17][turn]).map(|at| (at * 7 + turn) as u32 % 29 + 3));
            let (most, stop) = ([7, 60, 2, 9, 1, 30][turn], Arc::from([]));
            let request =
                GenerateRequest { prompt: prompt.as_slice().into(), most, stop, sampling: None, stream: 0 };
            let mut told = Told::of(1);
            let known = common(kept.tokens(), &prompt);
            let foreseen = kept.known(&prompt, model.limits) as u64;
            let counts = model.go_on(&mut kept, &request, 10_000, &mut told).unwrap();
            assert_eq!(counts.asked - counts.distinct, foreseen, "{case}, turn {turn}");
            let (text, _) = &told.texts[0];
            assert_eq!(*text, plainly(&model, &request), "{case}, turn {turn}");
            let written: Vec<u32> = text.iter().map(|token| token.id).collect();
            prompt.extend(&written);
            // Everything but the last token, which no pass has seen.
            let seen = &prompt[..prompt.len() - 1];
            if case.ends_with("dynamic") {
                assert!(kept.tokens().len() <= 64 && seen.starts_with(kept.tokens()), "turn {turn}");
            } else {
                assert_eq!(kept.tokens(), seen);
                assert_eq!(counts.asked - counts.distinct, known as u64);
                let new = seen.len() - known;
                let most = new + 8 * text.len();
                assert!(
                    (new..=most).contains(&(counts.computed as usize)),
                    "{case}, turn {turn}: only what is new"
                );
            }
        }
        // Something else after a part of it: blocks that are not shared are given back.
        prompt.truncate(100);
        prompt.extend([4, 4, 4]);
        let request = GenerateRequest {
            prompt: prompt.into(),
            most: 5,
            stop: Arc::from([]),
            sampling: None,
            stream: 0,
        };
        let mut told = Told::of(1);
        let foreseen = kept.known(&request.prompt, model.limits) as u64;
        let counts = model.go_on(&mut kept, &request, 10_000, &mut told).unwrap();
        assert_eq!(counts.asked - counts.distinct, foreseen, "{case}");
        assert_eq!(told.texts[0].0, plainly(&model, &request), "{case}");
        assert_eq!(kept.cache.taken(), kept.table.blocks(), "{case}: no block is taken by nobody");
        kept.forget();
        assert_eq!((kept.cache.taken(), kept.tokens().len()), (0, 0));
    }
}

/// Stops the work when it is asked for the so-many-th time.
struct Impatient {
    told: Told,
    asked: std::cell::Cell<usize>,
}

impl Listen for Impatient {
    fn token(&mut self, request: usize, token: Token) -> ControlFlow<()> {
        self.told.token(request, token)
    }

    fn ended(&mut self, request: usize, end: End) -> Result<(), EngineError> {
        self.told.ended(request, end)
    }

    fn is_stopped(&self) -> bool {
        self.asked.set(self.asked.get().saturating_sub(1));
        self.asked.get() == 0
    }
}

#[test]
fn a_sequence_that_was_stopped_anywhere_is_gone_on_from() {
    let model = model("llama/gqa-tied", Precision::Exact, Residence::Memory, 400);
    let request = |prompt: Vec<u32>, most| {
        let (prompt, stop) = (prompt.into(), Arc::from([]));
        GenerateRequest { prompt, most, stop, sampling: None, stream: 0 }
    };
    let first = request((0..70).map(|at| at % 29 + 3).collect(), 6);
    let whole = plainly(&model, &request(first.prompt.to_vec(), 40));
    let mut lengths = std::collections::BTreeSet::new();
    for patience in 1..40 {
        let mut kept = KeptSequence::new(&model.model);
        model.go_on(&mut kept, &first, 10_000, &mut Told::of(1)).unwrap();
        let mut prompt = first.prompt.to_vec();
        prompt.extend(whole[..6].iter().map(|token| token.id));
        let told = Told::of(1);
        let mut impatient = Impatient { told, asked: std::cell::Cell::new(patience) };
        let stopped = model.go_on(&mut kept, &request(prompt.clone(), 34), 10_000, &mut impatient);
        assert_eq!(stopped, Err(EngineError::Stopped));
        let said: Vec<u32> = impatient.told.texts[0].0.iter().map(|token| token.id).collect();
        prompt.extend(&said);
        assert!(prompt.starts_with(kept.tokens()), "after {patience} questions");
        lengths.insert(kept.tokens().len());
        let mut told = Told::of(1);
        model.go_on(&mut kept, &request(prompt, 34 - said.len()), 10_000, &mut told).unwrap();
        let rest: Vec<u32> = told.texts[0].0.iter().map(|token| token.id).collect();
        let expected: Vec<u32> = whole[6..].iter().map(|token| token.id).collect();
        assert_eq!([said, rest].concat(), expected, "after {patience} questions");
        assert_eq!(kept.cache.taken(), kept.table.blocks());
    }
    assert!(lengths.len() > 5, "{lengths:?}");
}

/// Long enough to repeat itself, and what a pass for each token of it writes.
fn repeating(model: &LocalModel) -> (GenerateRequest, Vec<Token>) {
    let request = GenerateRequest { most: 60, ..requests(3).remove(2) };
    let text = plainly(model, &request);
    (request, text)
}

#[test]
fn guesses_save_passes() {
    for case in ["llama/gqa-tied", "bloom/heads-4"] {
        let model = model(case, Precision::Exact, Residence::Memory, 400);
        let (request, text) = repeating(&model);
        let patience = 1_000_000;
        let told = Told::of(1);
        let mut listener = Impatient { told, asked: std::cell::Cell::new(patience) };
        model.generate(&[request], 10_000, &mut listener, &Silent).unwrap();
        assert_eq!(listener.told.texts[0].0, text, "{case}");
        // It is asked before and within each pass.
        let asked = patience - listener.asked.get();
        let layers = model.model.shape.num_hidden_layers;
        assert!(
            asked < text.len() * (layers + 1) / 2,
            "{case}: asked {asked} times for {} tokens",
            text.len()
        );
    }
}

#[test]
fn a_text_may_end_within_a_guess() {
    let model = model("llama/gqa-tied", Precision::Exact, Residence::Memory, 400);
    let (request, text) = repeating(&model);
    let ids: Vec<u32> = text.iter().map(|token| token.id).collect();
    for enough in 1..text.len() {
        let mut kept = KeptSequence::new(&model.model);
        let mut told = Told { enough: Some(enough), ..Told::of(1) };
        model.go_on(&mut kept, &request, 10_000, &mut told).unwrap();
        assert_eq!(told.texts[0], (text[..enough].to_vec(), Some(End::Broken)));
        let mut prompt = request.prompt.to_vec();
        prompt.extend(&ids[..enough]);
        assert_eq!(kept.tokens(), &prompt[..prompt.len() - 1]);
        let most = request.most - enough;
        let rest = GenerateRequest { prompt: prompt.into(), most, ..request.clone() };
        let mut told = Told::of(1);
        model.go_on(&mut kept, &rest, 10_000, &mut told).unwrap();
        assert_eq!(told.texts[0], (text[enough..].to_vec(), Some(End::Length)));
        let shorter = GenerateRequest { most: enough, ..request.clone() };
        let stopped = GenerateRequest { stop: Arc::from([ids[enough]]), ..request.clone() };
        let first = ids.iter().position(|id| *id == ids[enough]).unwrap();
        let mut told = Told::of(2);
        model.generate(&[shorter, stopped], 10_000, &mut told, &Silent).unwrap();
        assert_eq!(told.texts[0], (text[..enough].to_vec(), Some(End::Length)));
        assert_eq!(told.texts[1], (text[..first].to_vec(), Some(End::Stop(ids[enough]))));
    }
}
