//! Which native function stands for which `!function`.

use super::{
    Native, agieval, agieval_math, bbh, hellaswag, hendrycks_math, minerva_examples, minerva_math, programs,
    race, truthfulqa, wikitext, winogrande,
};

/// Name in our suites, names in the harness's folders, function.
pub(super) const FUNCTIONS: &[(&str, &[&str], Native)] = &[
    ("hellaswag.process_docs", &["hellaswag/utils.process_docs"], Native::Documents(hellaswag::process_docs)),
    (
        "winogrande.doc_to_text",
        &["winogrande/preprocess_winogrande.doc_to_text"],
        Native::Field(winogrande::doc_to_text),
    ),
    (
        "winogrande.doc_to_target",
        &["winogrande/preprocess_winogrande.doc_to_target"],
        Native::Field(winogrande::doc_to_target),
    ),
    (
        "winogrande.doc_to_choice",
        &["winogrande/preprocess_winogrande.doc_to_choice"],
        Native::Field(winogrande::doc_to_choice),
    ),
    ("race.doc_to_text", &["race/preprocess_race.doc_to_text"], Native::Field(race::doc_to_text)),
    ("race.doc_to_target", &["race/preprocess_race.doc_to_target"], Native::Field(race::doc_to_target)),
    ("race.doc_to_choice", &["race/preprocess_race.doc_to_choice"], Native::Field(race::doc_to_choice)),
    (
        "truthfulqa.process_results_mc2",
        &["truthfulqa/utils.process_results_mc2"],
        Native::ScoreResults(truthfulqa::process_results_mc2),
    ),
    (
        "truthfulqa.process_docs_gen",
        &["truthfulqa/utils.process_docs_gen"],
        Native::Documents(truthfulqa::process_docs_gen),
    ),
    (
        "truthfulqa.process_results_gen",
        &["truthfulqa/utils.process_results_gen"],
        Native::AnswerResults(truthfulqa::process_results_gen),
    ),
    (
        "agieval.process_results_mcqa",
        &["agieval/utils.process_results_mcqa"],
        Native::ScoreResults(agieval::process_results_mcqa),
    ),
    (
        "agieval.process_results",
        &["agieval/utils.process_results"],
        Native::AnswerResults(agieval_math::process_results),
    ),
    (
        "wikitext.wikitext_detokenizer",
        &["wikitext/preprocess_wikitext.wikitext_detokenizer"],
        Native::Field(wikitext::wikitext_detokenizer),
    ),
    (
        "wikitext.process_results",
        &["wikitext/preprocess_wikitext.process_results"],
        Native::ScoreResults(wikitext::process_results),
    ),
    (
        "bbh.MultiChoiceRegexFilter",
        &["zeroshot/utils.MultiChoiceRegexFilter", "cot_zeroshot/utils.MultiChoiceRegexFilter"],
        Native::Filter(bbh::multi_choice),
    ),
    (
        "bbh.NumberParseRegexFilter",
        &["zeroshot/utils.NumberParseRegexFilter", "cot_zeroshot/utils.NumberParseRegexFilter"],
        Native::Filter(bbh::number_parse),
    ),
    (
        "bbh.MapRegexFilter",
        &["zeroshot/utils.MapRegexFilter", "cot_zeroshot/utils.MapRegexFilter"],
        Native::Filter(bbh::map_regex),
    ),
    (
        "bbh.WordSortFilter",
        &["zeroshot/utils.WordSortFilter", "cot_zeroshot/utils.WordSortFilter"],
        Native::Filter(bbh::word_sort),
    ),
    (
        "hendrycks_math.process_docs",
        &["hendrycks_math/utils.process_docs"],
        Native::Documents(hendrycks_math::process_docs),
    ),
    (
        "hendrycks_math.process_results",
        &["hendrycks_math/utils.process_results"],
        Native::AnswerResults(hendrycks_math::process_results),
    ),
    (
        "minerva_math.doc_to_text",
        &["minerva_math/utils.doc_to_text"],
        Native::Field(minerva_math::doc_to_text),
    ),
    (
        "minerva_math.process_docs",
        &["minerva_math/utils.process_docs"],
        Native::Documents(minerva_math::process_docs),
    ),
    (
        "minerva_math.list_fewshot_samples",
        &["minerva_math/utils.list_fewshot_samples"],
        Native::Samples(minerva_examples::samples),
    ),
    (
        "minerva_math.process_results",
        &["minerva_math/utils.process_results"],
        Native::AnswerResults(minerva_math::process_results),
    ),
    (
        "humaneval.build_predictions",
        &["humaneval/utils.build_predictions"],
        Native::Filter(programs::build_predictions),
    ),
    (
        "humaneval.build_predictions_instruct",
        &["humaneval/utils.build_predictions_instruct"],
        Native::Filter(programs::build_predictions_instruct),
    ),
    ("humaneval.pass_at_k", &["humaneval/utils.pass_at_k"], Native::RunsPrograms),
    (
        "mbpp.list_fewshot_samples",
        &["mbpp/utils.list_fewshot_samples"],
        Native::Samples(programs::mbpp_samples),
    ),
    ("mbpp.build_predictions", &["mbpp/utils.build_predictions"], Native::Filter(programs::extract_code)),
    ("mbpp.pass_at_1", &["mbpp/utils.pass_at_1"], Native::RunsPrograms),
];
