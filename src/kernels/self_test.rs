//! Whether products are right on this processor, asked before the first one is made: some small ones of every form against
//! sums in f64.
//!
//! Nobody has every processor, so a kernel may run where no developer has seen it. One that is wrong there is passed over for
//! the next instruction set, with a warning, and can give no score. Errors are allowed as those of the precision are: kernels
//! are tested to the last bit elsewhere, and what fails on one processor alone (registers that the system does not save, an
//! instruction that does something else) is wrong by far more.

use std::cell::Cell;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use ndarray::Array2;

use super::isa::Operands;
use super::layout::MatrixLayout;
use super::small::product;
use super::{Isa, MatMul, Native, Precision, Store, StoredMatrix, multiply, pair_columns, pair_rows, peaks};
use crate::weights::Dtype;

/// What products of this process are made with.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// The instruction set.
    pub isa: Isa,
    /// Wider ones that this processor has, and why they are not taken.
    pub passed_over: Vec<(Isa, String)>,
    /// How long choosing took.
    pub took: Duration,
}

impl Isa {
    /// What products are made with: [what was asked for](Self::ask_for), or else the widest that this processor has whose products
    /// are right and that is no slower than those before it.
    pub fn best() -> Self {
        chosen().isa
    }

    /// The vectors that plain loops take: those of the choice, or of the candidate that is being checked.
    pub(super) fn of_loops() -> Self {
        CHECKED.get().unwrap_or_else(Self::best).vectors()
    }
}

thread_local! {
    /// The candidate that this thread checks.
    static CHECKED: Cell<Option<Isa>> = const { Cell::new(None) };
}

/// The choice, made when it is asked for first.
pub fn chosen() -> &'static Chosen {
    static CHOSEN: OnceLock<Chosen> = OnceLock::new();
    CHOSEN.get_or_init(|| {
        // On a thread of its own: one of a pool would take up other work meanwhile, which may ask for the choice itself.
        let other = std::thread::Builder::new().spawn(|| on_this_thread(choose));
        let chosen = match other {
            Ok(thread) => thread.join().expect("what a check panics with is caught"),
            // No thread to be had: nobody else's work is taken up in a pool without other threads, either.
            Err(_) => on_this_thread(choose),
        };
        for (isa, why) in &chosen.passed_over {
            tracing::warn!("{} is not used: {why}", isa.name());
        }
        chosen
    })
}

/// Has all parallel work of `work` done by the calling thread.
fn on_this_thread<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build();
    match pool {
        Ok(pool) => pool.install(work),
        // No thread is started, so nothing can be lacking but memory; any pool does then.
        Err(_) => work(),
    }
}

fn choose() -> Chosen {
    if cfg!(miri) {
        // Which interprets tests of the same products, and would take minutes here.
        return Chosen { isa: Isa::Plain, passed_over: Vec::new(), took: Duration::ZERO };
    }
    let begun = Instant::now();
    let asked_for = Isa::asked_for();
    // Up to the one that was asked for, if one was.
    let before = Isa::all().iter().copied().take_while(|isa| Some(*isa) != asked_for);
    let candidates: Vec<Isa> = before.chain(asked_for).collect();
    let (isa, passed_over) = widest_without_objection(&candidates, |isa| match caught(isa) {
        Err(wrong) => Some(format!("its products are wrong on this processor ({wrong}); please report it")),
        Ok(()) if asked_for.is_none() => slower(isa),
        Ok(()) => None,
    });
    Chosen { isa, passed_over, took: begun.elapsed() }
}

/// [Checks](check) a candidate with its own loops; a panic is an objection like any other.
fn caught(isa: Isa) -> Result<(), String> {
    CHECKED.set(Some(isa));
    let found = std::panic::catch_unwind(|| check(isa));
    CHECKED.set(None);
    found.unwrap_or_else(|_| Err("the check panicked".to_owned()))
}

/// The last candidate that nothing is said against, and what is said against those behind it. The first one is plain Rust, which
/// there is nothing below.
fn widest_without_objection(
    candidates: &[Isa],
    objection: impl Fn(Isa) -> Option<String>,
) -> (Isa, Vec<(Isa, String)>) {
    let mut passed_over = Vec::new();
    for &isa in candidates.iter().rev() {
        match objection(isa) {
            None => return (isa, passed_over),
            Some(why) => passed_over.push((isa, why)),
        }
    }
    panic!("no product is right on this processor: {passed_over:?}")
}

/// Why the instruction set before this one is faster: on some processors the dot product of bf16 numbers is slower than
/// multiplying and adding those of f32.
fn slower(isa: Isa) -> Option<String> {
    const ROUNDS: u64 = 1_000;
    const GOES: usize = 5;
    /// Goes until a unit is awake, at most.
    const WAKING: usize = 20;
    /// It is slow where it does half of what multiply-adds do; what is nearer may be noise, and the choice is to be the same each time.
    const SLOW: f64 = 0.8;
    if isa != Isa::Avx512Bf16 {
        return None;
    }
    let rate = |kernel: fn(Isa, u64) -> u64| {
        let begun = Instant::now();
        kernel(isa, ROUNDS) as f64 / begun.elapsed().as_secs_f64().max(1e-9) / 1e9
    };
    let kernels: [fn(Isa, u64) -> u64; 2] = [peaks::bf16_products, peaks::multiply_adds];
    // Units wake up first, until one go is as fast as the one before; then in turn, since what disturbs one disturbs the other.
    for kernel in kernels {
        let mut last = rate(kernel);
        for _ in 0..WAKING {
            let next = rate(kernel);
            if next < 1.05 * last {
                break;
            }
            last = next;
        }
    }
    let goes = (0..GOES).map(|_| kernels.map(rate));
    let [dot, fused] = goes.fold([0.0, 0.0], |best: [f64; 2], go| [best[0].max(go[0]), best[1].max(go[1])]);
    (dot < SLOW * fused).then(|| {
        format!("its dot product of bf16 does {dot:.0} GFLOP/s on a thread, multiply-adds of f32 {fused:.0}")
    })
}

/// Rows of activations, outputs and inputs: more than a tile of each, and no whole panels.
const SHAPE: [usize; 3] = [17, 33, 64];
/// More rows than the four tiles that are few, so that pairs of them and one more are multiplied, and more inputs than any part of a
/// sum has.
const LONG: [usize; 3] = [65, 3, 544];
/// Few rows of the same.
const FEW: [usize; 3] = [2, 5, 544];
/// One row, which has a way of its own with some weights, and two panels.
const ONE: [usize; 3] = [1, 33, 544];

/// Multiplies in every form that an instruction set has: exactly with weights of every type, and rounded, where all types become the
/// same form before anything is multiplied.
///
/// # Errors
/// The form whose product is wrong, and by how much.
pub(super) fn check(isa: Isa) -> Result<(), String> {
    let types =
        [Dtype::F32, Dtype::F16, Dtype::BF16, Dtype::Q8_0, Dtype::Q4_0, Dtype::Q4_1].map(|of| (of, false));
    // Tiles take numbers of f32 that are short in fewer parts.
    let short_too = isa.has_tiles().then_some((Dtype::F32, true));
    for (dtype, is_short) in types.into_iter().chain(short_too) {
        for [rows, outputs, inputs] in [SHAPE, LONG, FEW, ONE] {
            let x = values(rows, inputs, 1);
            // Blocks whose minima are far smaller than their scales are multiplied in another way.
            let least = if rows == SHAPE[0] { 0 } else { 0x20 };
            let matrix =
                if is_short { short(outputs, inputs) } else { stored(dtype, outputs, inputs, least) };
            let mut w = Array2::zeros((outputs, inputs));
            for (row, mut out) in w.rows_mut().into_iter().enumerate() {
                matrix.widen_row(row, out.as_slice_mut().expect("rows of a new matrix"));
            }
            let sums = Sums::of(&x, &w);
            let precisions = Precision::ALL
                .into_iter()
                .filter(|&of| of == Precision::Exact || dtype == Dtype::F32 && !is_short);
            for precision in precisions {
                let matmul = Native::with_isa(isa, precision).ok_or("it is not here")?;
                let mut y = Array2::from_elem((rows, outputs), f32::NAN);
                multiply(matmul.prepare(&matrix).as_ref(), x.view(), y.view_mut(), Store::Overwrite);
                sums.hold(&y, precision)
                    .map_err(|wrong| format!("{precision}, weights of {dtype}: {wrong}"))?;
            }
        }
    }
    small(isa)
}

/// The products of attention: two panels of columns, more rows than a group of tiles, sums that begin and sums that go on.
fn small(isa: Isa) -> Result<(), String> {
    let [rows, inputs] = [LONG[0], SHAPE[2]];
    let width = 2 * isa.panel_width();
    let (x, w) = (values(rows, inputs, 2), values(width, inputs, 3));
    let sums = Sums::of(&x, &w);
    let turned: Vec<f32> = w.t().iter().copied().collect();
    let x = x.as_slice().expect("rows of a new matrix");
    let (mut a, mut b) = (Vec::new(), Vec::new());
    pair_columns(x, &mut a);
    pair_rows(&turned, width, &mut b);
    let pairs = (bytemuck::cast_slice::<u32, f32>(&a), bytemuck::cast_slice::<u32, f32>(&b));
    let forms = [
        (Precision::Exact, Operands::Strided, (x, &turned[..]), inputs),
        (Precision::Bf16, Operands::StridedBf16Pairs, pairs, inputs / 2),
    ];
    for (precision, operands, (a, b), depth) in
        forms.into_iter().filter(|form| form.0 == Precision::Exact || isa.has_bf16_products())
    {
        let shapes = [(rows, depth), (depth, width), (rows, width)].map(|(r, c)| MatrixLayout::packed(r, c));
        let mut y = Array2::from_elem((rows, width), f32::NAN);
        for resume in [false, true] {
            let c = y.as_slice_mut().expect("rows of a new matrix");
            product(isa, operands, (a, shapes[0]), (b, shapes[1]), (c, shapes[2]), resume);
            // Twice the product, in the end.
            let once = if resume { y.map(|y| y / 2.0) } else { y.clone() };
            sums.hold(&once, precision).map_err(|wrong| format!("attention in {precision}: {wrong}"))?;
        }
    }
    Ok(())
}

/// Sums of products in f64, and what they are at most: products of the lengths of both rows.
struct Sums {
    sums: Array2<f64>,
    scales: Array2<f64>,
}

impl Sums {
    fn of(x: &Array2<f32>, w: &Array2<f32>) -> Self {
        let depth = x.ncols();
        let [x, w] = [x, w].map(|numbers| numbers.map(|&number| f64::from(number)));
        let [of_x, of_w] = [&x, &w].map(|numbers| -> Vec<f64> {
            let rows = numbers.rows().into_iter();
            rows.map(|row| row.iter().map(|number| number * number).sum::<f64>().sqrt()).collect()
        });
        let [x, w] = [&x, &w].map(|numbers| numbers.as_slice().expect("rows of a new matrix"));
        let shape = (of_x.len(), of_w.len());
        Self {
            sums: Array2::from_shape_fn(shape, |(i, j)| {
                dot(&x[i * depth..][..depth], &w[j * depth..][..depth])
            }),
            scales: Array2::from_shape_fn(shape, |(i, j)| of_x[i] * of_w[j]),
        }
    }

    /// Whether a product lies as near as its precision lets it.
    fn hold(&self, y: &Array2<f32>, precision: Precision) -> Result<(), String> {
        let allowed = match precision {
            Precision::Exact => 1e-6,
            // Two roundings to 8 bits.
            Precision::Bf16 => 1e-2,
            // Two to 1/127 of the largest of 32, where magnitudes are a fifth of it or more on average.
            Precision::Int8 => 5e-2,
        };
        for ((place, found), (sum, scale)) in y.indexed_iter().zip(self.sums.iter().zip(&self.scales)) {
            let error = (f64::from(*found) - sum).abs() / scale.max(1e-30);
            // What is no number is near nothing.
            if !matches!(
                error.partial_cmp(&allowed),
                Some(std::cmp::Ordering::Less | std::cmp::Ordering::Equal)
            ) {
                return Err(format!("{found} in place of {sum} at {place:?}"));
            }
        }
        Ok(())
    }
}

/// By hand: OpenBLAS, which a build may have behind `dot` of `ndarray`, asks for more memory than a small process has, and does not
/// end. In some sums, so that none waits for the last addition of another.
fn dot(x: &[f64], w: &[f64]) -> f64 {
    const AT_ONCE: usize = 8;
    let (x, x_rest) = x.as_chunks::<AT_ONCE>();
    let (w, w_rest) = w.as_chunks::<AT_ONCE>();
    let mut sums = [0.0; AT_ONCE];
    for (x, w) in x.iter().zip(w) {
        for ((sum, x), w) in sums.iter_mut().zip(x).zip(w) {
            *sum += x * w;
        }
    }
    let rest: f64 = x_rest.iter().zip(w_rest).map(|(x, w)| x * w).sum();
    sums.into_iter().sum::<f64>() + rest
}

/// Numbers in -1..1 that are no numbers of 16 bits.
fn values(rows: usize, columns: usize, seed: u32) -> Array2<f32> {
    let mut state = seed;
    Array2::from_shape_simple_fn((rows, columns), || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    })
}

/// The same with 16 bits each, which is more than types of 16 bits have.
fn short(rows: usize, columns: usize) -> StoredMatrix<'static> {
    let cut = values(rows, columns, 5).map(|number| f32::from_bits(number.to_bits() & !0xff));
    let numbers = cut.as_slice().expect("rows of a new matrix");
    StoredMatrix::from_f32(rows, columns, numbers).expect("bytes of the shape")
}

/// A weight of this type whose values are numbers of ordinary size. Of blocks each byte has the bits of `least`: with 0x20 scales
/// and minima are of one size.
fn stored(dtype: Dtype, rows: usize, columns: usize, least: u8) -> StoredMatrix<'static> {
    let numbers = values(rows, columns, 4);
    let numbers = numbers.as_slice().expect("rows of a new matrix");
    let mut bytes = vec![0; dtype.bytes_for(numbers.len()).expect("whole blocks")];
    if dtype.narrow(numbers, &mut bytes).is_err() {
        // Any bytes are blocks; with these, scales are small numbers.
        let small = |number: &f32| (number.to_bits() >> 9) as u8 & 0x3b | least;
        bytes.iter_mut().zip(numbers).for_each(|(byte, number)| *byte = small(number));
    }
    StoredMatrix::new(dtype, rows, columns, bytes).expect("bytes of the shape")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::quants::Quants;

    #[test]
    fn every_instruction_set_of_this_processor_is_right() {
        for isa in Isa::with_stand_in() {
            assert_eq!(check(isa), Ok(()), "{isa:?}");
        }
        let Chosen { isa, passed_over, took } = chosen();
        assert!(
            isa.is_here() && passed_over.iter().all(|(_, why)| why.contains("dot product")),
            "{passed_over:?}"
        );
        assert!(*took > Duration::ZERO);
    }

    #[test]
    fn minima_of_both_sizes_are_among_what_is_multiplied() {
        let form = |least| Quants::Q4_1.of_blocks(stored(Dtype::Q4_1, SHAPE[1], SHAPE[2], least).data());
        assert_eq!([form(0), form(0x20)], [Quants::Q4_1Apart, Quants::Q4_1]);
    }

    #[test]
    fn what_is_wrong_is_passed_over_for_the_next() {
        let all = [Isa::Plain, Isa::Avx2, Isa::Avx512, Isa::AmxBf16];
        let wrong = |isa: Isa| (isa.panel_width() == 32).then(|| format!("{} is wrong", isa.name()));
        let (isa, passed_over) = widest_without_objection(&all, wrong);
        let expected = [(Isa::AmxBf16, "amx-bf16 is wrong"), (Isa::Avx512, "avx512 is wrong")];
        assert_eq!(
            (isa, passed_over),
            (Isa::Avx2, expected.map(|(isa, why)| (isa, why.to_owned())).to_vec())
        );
        assert_eq!(widest_without_objection(&all, |_| None), (Isa::AmxBf16, Vec::new()));
    }

    #[test]
    fn a_wrong_product_is_seen() {
        let (x, w) = (values(3, 64, 1), values(5, 64, 2));
        let sums = Sums::of(&x, &w);
        let mut y = x.dot(&w.t());
        for (precision, wrong) in [(Precision::Exact, 1e-3), (Precision::Bf16, 1.0), (Precision::Int8, 2.0)] {
            assert_eq!(sums.hold(&y, precision), Ok(()));
            let right = y[(2, 4)];
            for wrong in [right + wrong, 0.0 * right + 100.0, f32::NAN, f32::INFINITY] {
                y[(2, 4)] = wrong;
                let error = sums.hold(&y, precision).unwrap_err();
                assert!(error.contains("in place of") && error.contains("(2, 4)"), "{error}");
            }
            y[(2, 4)] = right;
        }
    }
}
