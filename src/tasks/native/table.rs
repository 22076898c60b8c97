//! Table of the native functions that stand for `!function` tags.

use super::NativeFunction::{AnswerResults, Documents, Field, Filter, RunsPrograms, Samples, ScoreResults};
use super::{
    NativeFunction, PassAt, agieval, agieval_math, bbh, hellaswag, hendrycks_math, minerva_examples,
    minerva_math, programs, race, self_instruct, truthfulqa, wikitext, winogrande,
};

/// Name of the suite here, where the harness has its functions, and each function by its name.
macro_rules! functions {
    ($($suite:ident $folders:tt { $($name:ident: $native:expr),* })*) => {
        pub(super) const FUNCTIONS: &[(&str, &[&str], &str, NativeFunction)] =
            &[$($((stringify!($suite), &$folders, stringify!($name), $native),)*)*];
    };
}

functions! {
    hellaswag ["hellaswag/utils"] { process_docs: Documents(hellaswag::process_docs) }
    winogrande ["winogrande/preprocess_winogrande"] {
        doc_to_text: Field(winogrande::doc_to_text),
        doc_to_target: Field(winogrande::doc_to_target),
        doc_to_choice: Field(winogrande::doc_to_choice)
    }
    race ["race/preprocess_race"] {
        doc_to_text: Field(race::doc_to_text),
        doc_to_target: Field(race::doc_to_target),
        doc_to_choice: Field(race::doc_to_choice)
    }
    truthfulqa ["truthfulqa/utils"] {
        process_results_mc2: ScoreResults(truthfulqa::process_results_mc2),
        process_docs_gen: Documents(truthfulqa::process_docs_gen),
        process_results_gen: AnswerResults(truthfulqa::process_results_gen)
    }
    agieval ["agieval/utils"] {
        process_results_mcqa: ScoreResults(agieval::process_results_mcqa),
        process_results: AnswerResults(agieval_math::process_results)
    }
    self_instruct ["self_instruct/utils"] { process_docs: Documents(self_instruct::process_docs) }
    wikitext ["wikitext/preprocess_wikitext"] {
        wikitext_detokenizer: Field(wikitext::wikitext_detokenizer),
        process_results: ScoreResults(wikitext::process_results)
    }
    bbh ["zeroshot/utils", "cot_zeroshot/utils"] {
        MultiChoiceRegexFilter: Filter(bbh::multi_choice),
        NumberParseRegexFilter: Filter(bbh::number_parse),
        MapRegexFilter: Filter(bbh::map_regex),
        WordSortFilter: Filter(bbh::word_sort)
    }
    hendrycks_math ["hendrycks_math/utils"] {
        process_docs: Documents(hendrycks_math::process_docs),
        process_results: AnswerResults(hendrycks_math::process_results)
    }
    minerva_math ["minerva_math/utils"] {
        doc_to_text: Field(minerva_math::doc_to_text),
        process_docs: Documents(minerva_math::process_docs),
        list_fewshot_samples: Samples(minerva_examples::samples),
        process_results: AnswerResults(minerva_math::process_results)
    }
    humaneval ["humaneval/utils"] {
        build_predictions: Filter(programs::build_predictions),
        build_predictions_instruct: Filter(programs::build_predictions_instruct),
        pass_at_k: RunsPrograms(PassAt::Listed)
    }
    mbpp ["mbpp/utils"] {
        list_fewshot_samples: Samples(programs::mbpp_samples),
        build_predictions: Filter(programs::extract_code),
        pass_at_1: RunsPrograms(PassAt::One)
    }
}
