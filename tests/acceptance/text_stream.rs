//! Text that comes out of ids one at a time, with released vocabularies: nothing is said too early, and nothing is lost.

use std::fs;

use zoo::tokenizer::{AddSpecials, TextStream, Tokenizer};
use zoo::weights::gguf::GgufFile;

use crate::support::shared::shared;
use crate::tokenizer::{alone, converted, gguf, texts};

/// Ids that look random and are always the same.
fn some_ids(count: usize, size: usize) -> Vec<u32> {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    // Byte pieces have low ids in these vocabularies: every other id is one of the first.
    (0..count).map(|at| (next() % if at % 2 == 0 { size } else { size.min(300) }) as u32).collect()
}

#[test]
#[ignore = "needs the shared reference folder"]
fn text_that_comes_id_by_id_is_the_text_of_all_ids() {
    let Some(shared) = shared() else { return };
    let data = shared.join("data/tokenizers");
    let models = ["llama", "chinese-llama", "chinese-alpaca", "chinese-llama-2"];
    let mut tokenizers: Vec<(String, Tokenizer)> = models
        .iter()
        .map(|name| {
            ((*name).to_owned(), alone(&data.join(format!("{name}.model")), "tokenizer.model").unwrap())
        })
        .collect();
    for name in ["llama-spm", "phi-3", "gpt-2"] {
        tokenizers.push((name.to_owned(), gguf(&data.join(format!("ggml-vocab-{name}.gguf")))));
    }
    let file = GgufFile::open(data.join("ggml-vocab-llama-spm.gguf")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tokenizer.json"), converted(file.metadata()).to_string()).unwrap();
    tokenizers.push(("llama in tokenizer.json".to_owned(), Tokenizer::from_folder(folder.path()).unwrap()));
    for form in ["bloom/heads-pow2", "ziya/delta", "alpaca/wdiff"] {
        let folder = shared.join("lineage-kit").join(form);
        tokenizers.push((form.to_owned(), Tokenizer::from_folder(&folder).unwrap()));
    }
    let texts = texts(&shared);
    for (name, tokenizer) in &tokenizers {
        let random = some_ids(3000, tokenizer.vocab_size());
        let random = random.chunks(50).map(<[u32]>::to_vec);
        let real = texts.iter().step_by(40).map(|text| tokenizer.encode(text, AddSpecials::None).unwrap());
        for ids in random.chain(real) {
            let mut stream = TextStream::alone(tokenizer);
            let mut said = String::new();
            for &id in &ids {
                stream.push(id).unwrap();
                assert!(stream.certain().starts_with(&said), "{name}: {ids:?}");
                said = stream.certain().to_owned();
            }
            let whole = tokenizer.decode_without_specials(&ids).unwrap();
            assert!(whole.starts_with(&said), "{name}: {ids:?}");
            assert_eq!(stream.text(), whole, "{name}: {ids:?}");
            // A real text goes on where a prompt ends, and nothing is lost between them.
            let (prompt, answer) = ids.split_at(ids.len() / 2);
            let before = tokenizer.decode_without_specials(prompt).unwrap();
            if !before.ends_with('\u{fffd}') && whole.starts_with(&before) && !prompt.is_empty() {
                let is_byte =
                    |id: &u32| tokenizer.token_text(*id).is_some_and(|text| text.starts_with("<0x"));
                if prompt.last().is_some_and(is_byte) {
                    continue;
                }
                let mut stream = TextStream::after(tokenizer, prompt).unwrap();
                answer.iter().for_each(|&id| stream.push(id).unwrap());
                assert_eq!(before + stream.text(), whole, "{name}: {ids:?}");
            }
        }
    }
}
