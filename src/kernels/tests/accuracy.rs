//! How far products lie from sums in f64: the table of `docs/arithmetic.md`, printed with `--nocapture`.

use super::*;

/// Length of the sums.
const DEPTH: usize = 2048;

/// The largest and the mean error of products of numbers in −1..1 over [`DEPTH`].
fn errors(isa: Isa, precision: Precision, dtype: Dtype) -> [f64; 2] {
    let (x, w) = (numbers(21, 40, DEPTH), numbers(22, 64, DEPTH));
    let matrix = stored(dtype, &w);
    let found = product(&Native::with_isa(isa, precision).unwrap(), &matrix, x.view());
    let [x, w] = [x, widened(&matrix)].map(|numbers| numbers.map(|&number| f64::from(number)));
    let errors = (x.dot(&w.t()) - found.map(|&y| f64::from(y))).map(|error| error.abs());
    [errors.fold(0.0, |a: f64, &b| a.max(b)), errors.mean().expect("there are outputs")]
}

/// Sums are of some 15; half a last bit of f32 there is 5e-7.
#[test]
fn products_are_as_near_as_their_documentation_says() {
    let types = [Dtype::BF16, Dtype::F16, Dtype::F32];
    // The largest errors that each may show: one sum of f32 after the other, and sums of 32 at a time.
    let allowed = |isa: Isa, precision| match precision {
        Precision::Exact if isa.has_tiles() => 1.2e-4,
        Precision::Exact => 2e-4,
        Precision::Bf16 => 0.4,
        Precision::Int8 => 1.0,
    };
    let mut table = String::new();
    for isa in Isa::with_stand_in() {
        for precision in Precision::ALL {
            for dtype in types {
                let [largest, mean] = errors(isa, precision, dtype);
                table += &format!("{:12} {precision:6} {dtype:5} {largest:8.1e} {mean:8.1e}\n", isa.name());
                assert!(largest < allowed(isa, precision), "{table}");
            }
        }
    }
    println!("{table}");
}
