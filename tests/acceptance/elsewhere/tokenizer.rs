//! A byte-level vocabulary out of a GGUF file against the same out of `tokenizer.json`.

use crate::support::shared::{named, shared};
use crate::tokenizer::{assert_same, gguf, texts};
use zoo::tokenizer::Tokenizer;

/// One byte-level vocabulary as GGUF (`ZOO_BYTE_LEVEL_GGUF`) and as a folder (`ZOO_BYTE_LEVEL_FOLDER`).
#[test]
#[ignore = "needs one vocabulary in two forms, see ZOO_BYTE_LEVEL_GGUF"]
fn a_byte_level_gguf_equals_its_folder() {
    let Some(shared) = shared() else { return };
    let (Some(file), Some(folder)) = (named("ZOO_BYTE_LEVEL_GGUF"), named("ZOO_BYTE_LEVEL_FOLDER")) else {
        return;
    };
    let (file, folder) = (gguf(&file), Tokenizer::from_folder(&folder).unwrap());
    let mut texts = texts(&shared);
    let end = folder.token_text(folder.eos().unwrap()).unwrap();
    texts.extend([end.clone(), format!("a{end}b"), format!(" {end} 12{end}")]);
    assert_same("byte-level: GGUF and folder", &file, &folder, &texts);
    assert_eq!((file.bos(), file.eos(), file.pad()), (folder.bos(), folder.eos(), folder.pad()));
    assert_eq!(file.adds_bos(), folder.adds_bos());
    assert_eq!(file.prefix_text(), folder.prefix_text());
}
