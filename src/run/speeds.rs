//! How fast this machine computes: what `zoo bench` measured here and remembered, or a measurement of half a second.
//!
//! Figures are kept by processor in the tool's own folder, each with what it depends on: threads, precision, the width of the
//! network, of how many products of numbers one is made here (on tiles it depends on the type of the weights), and the build of the
//! program. A figure of a network twice as wide or half as wide still counts.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::RunError;
use super::error::During;
use crate::base::atomic::write_atomically;
use crate::base::machine::cpu_name;
use crate::base::yaml;
use crate::config::ModelConfig;
use crate::engine::{Speed, calibrate};
use crate::kernels::{self, Isa, Precision, products_of};
use crate::records::file_name;
use crate::weights::Dtype;

/// A file of figures is no larger.
const MAX_BYTES: u64 = 1 << 20;
/// By how much the width of a network may differ from that of the figure.
const NEAR: f64 = 2.0;

/// A measured speed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// What was multiplied.
    pub precision: String,
    /// Threads that worked.
    pub threads: usize,
    /// Width of the network.
    pub hidden_size: usize,
    /// Floating-point operations a second in a whole pass over some thousand tokens, attention included.
    pub operations: f64,
    /// [Products of numbers](products_of) that one of its products was made of.
    #[serde(default = "one")]
    pub products: usize,
    /// What was measured.
    pub model: String,
    /// When.
    pub date: String,
    /// Version and kind of the program.
    pub build: String,
}

fn one() -> usize {
    1
}

impl Figure {
    /// A figure of this build of the program, of a precision and a type of weights.
    pub fn new(
        (precision, weights): (Precision, Dtype),
        config: &ModelConfig,
        operations: f64,
        model: &str,
        date: String,
    ) -> Self {
        Self {
            precision: precision.name().to_owned(),
            threads: rayon::current_num_threads(),
            hidden_size: config.hidden_size(),
            operations,
            products: products_of(Isa::best(), precision, weights),
            model: model.to_owned(),
            date,
            build: build(),
        }
    }

    /// Whether it takes the place of an older one.
    fn replaces(&self, older: &Self) -> bool {
        let key = |one: &Self| {
            (one.precision.clone(), one.products, one.threads, one.hidden_size, one.build.clone())
        };
        key(self) == key(older)
    }
}

/// Debug builds are many times slower, and so are narrower instruction sets.
fn build() -> String {
    let kind = if cfg!(debug_assertions) { "debug" } else { "release" };
    format!("{} {kind}, {}", env!("CARGO_PKG_VERSION"), Isa::best().name())
}

fn place(home: &Path) -> PathBuf {
    home.join("speeds").join(format!("{}.yaml", file_name(&cpu_name())))
}

/// The figures of this processor; none where there is no file of them, or none that can be read.
fn known(home: &Path) -> Vec<Figure> {
    let path = place(home);
    let text = yaml::read_text(&path, MAX_BYTES).ok();
    text.and_then(|text| yaml::parse(&path.display().to_string(), &text).ok()).unwrap_or_default()
}

/// Keeps figures of this processor below `home`, the newest of each kind.
///
/// # Errors
/// A file that cannot be written.
pub fn remember(home: &Path, figures: Vec<Figure>) -> Result<(), RunError> {
    let mut all = known(home);
    all.retain(|older| !figures.iter().any(|figure| figure.replaces(older)));
    all.extend(figures);
    let path = place(home);
    write_atomically(&path, serde_yaml::to_string(&all)?.as_bytes())
        .during(|| format!("cannot keep what was measured in {}", path.display()))
}

/// The remembered figure for a network and so many products of numbers in one, the nearest in width.
fn recall(home: &Path, (precision, products): (Precision, usize), config: &ModelConfig) -> Option<Figure> {
    let (threads, wide) = (rayon::current_num_threads(), config.hidden_size() as f64);
    let fits = |one: &Figure| {
        (one.precision.as_str(), one.products, one.threads) == (precision.name(), products, threads)
            && one.build == build()
    };
    let distance = |one: &Figure| (one.hidden_size as f64 / wide).ln().abs();
    let near = known(home).into_iter().filter(|one| fits(one) && distance(one) <= NEAR.ln() + 1e-9);
    near.min_by(|a, b| distance(a).total_cmp(&distance(b)))
}

/// A speed, and how it is known.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownSpeed {
    /// Operations a second.
    pub speed: Speed,
    /// In words.
    pub source: String,
}

/// How fast products of the implementation `matmul` are here in a precision with weights of a type, in a network of this width;
/// `None` where there are none.
pub fn speed(
    home: Option<&Path>,
    matmul: &str,
    (precision, weights): (Precision, Dtype),
    config: &ModelConfig,
) -> Option<KnownSpeed> {
    let products = kernels::by_name(matmul, precision)?;
    // What is remembered is of the default implementation.
    let figure = home
        .filter(|_| kernels::name_here(matmul) == kernels::name_here("native"))
        .and_then(|home| recall(home, (precision, products_of(Isa::best(), precision, weights)), config));
    if let Some(Figure { operations, model, date, .. }) = figure {
        let speed = Speed { linear: operations, attention: operations };
        return Some(KnownSpeed { speed, source: format!("zoo bench of {model}, {date}") });
    }
    let speed = calibrate(products.as_ref(), config, weights);
    Some(KnownSpeed { speed, source: "measured just now in products of this width".to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LlamaConfig;

    fn of_width(hidden_size: usize) -> ModelConfig {
        LlamaConfig { hidden_size, ..LlamaConfig::SMOLLM2_135M }.into()
    }

    #[test]
    fn figures_are_found_by_what_they_depend_on() {
        let home = tempfile::tempdir().unwrap();
        let figure = |width, operations| {
            let what = (Precision::Exact, Dtype::F32);
            Figure::new(what, &of_width(width), operations, "m", "2026-01-01".to_owned())
        };
        let products = figure(1, 0.0).products;
        let found = |precision, width| {
            recall(home.path(), (precision, products), &of_width(width)).map(|one| one.operations)
        };
        assert_eq!(found(Precision::Exact, 576), None);
        remember(home.path(), vec![figure(576, 1e9), figure(2048, 2e9)]).unwrap();
        assert_eq!(found(Precision::Exact, 576), Some(1e9));
        assert_eq!(found(Precision::Exact, 1152), Some(2e9));
        assert_eq!(found(Precision::Exact, 4096), Some(2e9));
        assert_eq!(found(Precision::Exact, 5120), None, "two and a half times as wide");
        assert_eq!(found(Precision::Int8, 576), None);
        // The newest counts, and other builds and numbers of threads do not.
        remember(home.path(), vec![figure(576, 3e9)]).unwrap();
        assert_eq!(found(Precision::Exact, 576), Some(3e9));
        let other = Figure { threads: 10_000, operations: 9e9, ..figure(576, 0.0) };
        let older = Figure { build: "0.0.1 release".to_owned(), operations: 8e9, ..figure(576, 0.0) };
        // Nor does one that is made of another number of products, as one of another type of weights is on tiles.
        let stored_otherwise = Figure { products: products + 1, operations: 7e9, ..figure(576, 0.0) };
        remember(home.path(), vec![other, older, stored_otherwise]).unwrap();
        assert_eq!(found(Precision::Exact, 576), Some(3e9));
        let what = (Precision::Exact, Dtype::F32);
        let known = speed(Some(home.path()), "native", what, &of_width(576)).unwrap();
        assert_eq!((known.speed.linear, known.source.as_str()), (3e9, "zoo bench of m, 2026-01-01"));
    }

    #[test]
    fn on_tiles_a_speed_is_that_of_a_type_of_weights() {
        let types = [Dtype::BF16, Dtype::F16, Dtype::F32, Dtype::Q8_0];
        let of = |isa, precision| types.map(|dtype| products_of(isa, precision, dtype));
        assert_eq!(of(Isa::SoftTiles, Precision::Exact), [3, 5, 6, 1]);
        assert_eq!(of(Isa::AmxBf16, Precision::Exact), [3, 5, 6, 1]);
        assert_eq!(of(Isa::AmxBf16, Precision::Bf16), [1; 4]);
        assert_eq!(of(Isa::Avx512Bf16, Precision::Exact), [1; 4]);
        // A file from before this was known is of vectors.
        let figure = Figure {
            products: 6,
            ..Figure::new((Precision::Exact, Dtype::F32), &of_width(64), 1e9, "m", "d".into())
        };
        let text = serde_yaml::to_string(&figure).unwrap();
        assert_eq!(serde_yaml::from_str::<Figure>(&text).unwrap(), figure);
        let older = text.replace("products: 6\n", "");
        assert_eq!(serde_yaml::from_str::<Figure>(&older).unwrap().products, 1);
    }

    #[test]
    fn a_damaged_file_is_none() {
        let home = tempfile::tempdir().unwrap();
        let path = place(home.path());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "[{precision: exact").unwrap();
        assert_eq!(known(home.path()), []);
        assert!(speed(None, "no such products", (Precision::Exact, Dtype::F32), &of_width(64)).is_none());
    }
}
