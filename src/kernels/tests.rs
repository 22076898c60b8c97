//! Every implementation against sums in f64, at odd shapes; and what has to be the same to the last bit.

use ndarray::{Array2, ArrayView2, s};

use super::*;
use crate::weights::Dtype;

mod accuracy;
mod random;
mod small;

/// Largest error relative to Σ|x·w| that f32 products may show against f64 sums.
const F32_PRODUCT_TOLERANCE: f64 = 2e-6;
/// The same for products of numbers that were rounded to bf16 first, against those that were not.
const BF16_PRODUCT_TOLERANCE: f64 = 8e-3;

const SHAPES: [(usize, usize, usize); 9] = [
    (1, 1, 1),
    (1, 7, 3),
    (3, 64, 64),
    (17, 65, 33),
    (129, 48, 100),
    (2, 300, 257),
    (6, 16, 256),
    (11, 33, 513),
    (400, 40, 70),
];

/// A cheap reproducible stream of numbers in -1..1.
fn numbers(seed: u32, rows: usize, columns: usize) -> Array2<f32> {
    let mut state = seed.wrapping_mul(2654435761).wrapping_add(1);
    Array2::from_shape_simple_fn((rows, columns), || {
        state = state.wrapping_mul(1664525).wrapping_add(1013904223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    })
}

fn stored(dtype: Dtype, w: &Array2<f32>) -> StoredMatrix<'static> {
    let mut bytes = vec![0; dtype.bytes_for(w.len()).unwrap()];
    dtype.narrow(w.as_slice().unwrap(), &mut bytes).unwrap();
    StoredMatrix::new(dtype, w.nrows(), w.ncols(), bytes).unwrap()
}

fn widened(matrix: &StoredMatrix) -> Array2<f32> {
    let mut wide = Array2::zeros((matrix.rows(), matrix.columns()));
    for (row, mut out) in wide.rows_mut().into_iter().enumerate() {
        matrix.widen_row(row, out.as_slice_mut().unwrap());
    }
    wide
}

fn product(matmul: &dyn MatMul, matrix: &StoredMatrix, x: ArrayView2<f32>) -> Array2<f32> {
    let mut y = Array2::from_elem((x.nrows(), matrix.rows()), f32::NAN);
    multiply(matmul.prepare(matrix).as_ref(), x, y.view_mut(), Store::Overwrite);
    y
}

fn assert_near(what: &str, y: &Array2<f32>, x: ArrayView2<f32>, w: &Array2<f32>, tolerance: f64) {
    for ((i, j), found) in y.indexed_iter() {
        let (mut sum, mut scale) = (0.0f64, 0.0f64);
        for (a, b) in x.row(i).iter().zip(w.row(j)) {
            let product = f64::from(*a) * f64::from(*b);
            sum += product;
            scale += product.abs();
        }
        let error = (f64::from(*found) - sum).abs();
        assert!(error <= tolerance * scale.max(1e-30), "{what} at [{i},{j}]: {found} against {sum}");
    }
}

fn all() -> Vec<(String, Box<dyn MatMul>)> {
    let mut all: Vec<(String, Box<dyn MatMul>)> = Vec::new();
    for name in names() {
        all.push((name.to_string(), by_name(name, Precision::Exact).unwrap()));
    }
    for isa in Isa::with_stand_in() {
        all.push((isa.name().to_owned(), Box::new(Native::with_isa(isa, Precision::Exact).unwrap())));
    }
    all
}

#[test]
fn every_implementation_agrees_with_f64_sums_at_odd_shapes() {
    for (name, matmul) in all() {
        for (m, n, k) in SHAPES {
            let (x, w) = (numbers(1, m, k), numbers(2, n, k));
            for dtype in [Dtype::F32, Dtype::F16, Dtype::BF16] {
                let matrix = stored(dtype, &w);
                assert_eq!(Some(matmul.prepare(&matrix).bytes() as u64), matmul.prepared_bytes(dtype, n, k));
                let y = product(matmul.as_ref(), &matrix, x.view());
                let what = format!("{name} {dtype} {m}x{n}x{k}");
                assert_near(&what, &y, x.view(), &widened(&matrix), F32_PRODUCT_TOLERANCE);
            }
        }
    }
}

#[test]
fn rounded_products_are_near_the_exact_ones() {
    for isa in Isa::with_stand_in() {
        let matmul = Native::with_isa(isa, Precision::Bf16).unwrap();
        for (m, n, k) in SHAPES {
            let (x, w) = (numbers(3, m, k), numbers(4, n, k));
            let y = product(&matmul, &stored(Dtype::F32, &w), x.view());
            assert_near("bf16", &y, x.view(), &w, BF16_PRODUCT_TOLERANCE);
            // The same as exact products of numbers that are bf16 already.
            let rounded = x.map(|&x| half::bf16::from_f32(x).to_f32());
            let exact = Native::with_isa(isa, Precision::Exact).unwrap();
            let exact = product(&exact, &stored(Dtype::BF16, &w), rounded.view());
            if isa.has_bf16_products() {
                // But for the order of two products.
                let w = widened(&stored(Dtype::BF16, &w));
                assert_near("pairs of bf16", &y, rounded.view(), &w, F32_PRODUCT_TOLERANCE);
            } else {
                assert_eq!(y, exact);
            }
        }
    }
}

#[test]
fn a_block_type_is_multiplied_as_what_it_widens_to() {
    let blocks: Vec<u8> =
        (0..20 * 2 * 34u32).map(|i| if i % 34 == 1 { 0x20 } else { (i * 7 % 251) as u8 }).collect();
    let matrix = StoredMatrix::new(Dtype::Q8_0, 20, 64, blocks).unwrap();
    let x = numbers(5, 9, 64);
    for (name, matmul) in all() {
        let y = product(matmul.as_ref(), &matrix, x.view());
        assert_near(&name, &y, x.view(), &widened(&matrix), F32_PRODUCT_TOLERANCE);
    }
}

#[test]
fn products_with_blocks_have_the_bits_of_products_with_widened_weights() {
    for dtype in Dtype::ALL.into_iter().filter(|dtype| dtype.block_size() > 1) {
        let (n, k) = (135, 3 * dtype.block_size().max(256) - if dtype.block_size() < 256 { 64 } else { 0 });
        let any: Vec<u8> =
            (0..dtype.bytes_for(n * k).unwrap()).map(|i| (i * 167 % 241 + i / 37 % 13) as u8).collect();
        // The scales are among them: none that are infinite, and none that differ much.
        let finite = any.iter().map(|byte| byte & if byte & 0x7c == 0x7c { 0xbf } else { 0xff }).collect();
        let near = any.iter().map(|byte| byte & 0xbb | 0x20).collect();
        let x = numbers(21, 40, k);
        for bytes in [finite, near] as [Vec<u8>; 2] {
            let matrix = StoredMatrix::new(dtype, n, k, bytes).unwrap();
            let wide = widened(&matrix);
            assert!(wide.iter().all(|x| x.is_finite()) && wide.iter().any(|x| *x < 0.0), "{dtype}");
            for isa in Isa::with_stand_in() {
                let matmul = Native::with_isa(isa, Precision::Exact).unwrap();
                // Vectors multiply blocks even where there are tiles.
                let vectors = Native::with_isa(isa.vectors(), Precision::Exact).unwrap();
                let expected = product(&vectors, &stored(Dtype::F32, &wide), x.view());
                for rows in [1, 2, 5, 8, 11, 12, 13, 40] {
                    let found = product(&matmul, &matrix, x.slice(s![..rows, ..]));
                    assert_eq!(found, expected.slice(s![..rows, ..]), "{dtype} {isa:?} {rows}");
                }
            }
        }
    }
}

#[test]
fn products_of_different_forms_are_made_beside_each_other() {
    let (x, w) = (numbers(22, 40, 64), numbers(23, 70, 64));
    let blocks: Vec<u8> = (0..70 * 2 * 34u32).map(|i| (i * 7 % 60) as u8).collect();
    let blocks = StoredMatrix::new(Dtype::Q8_0, 70, 64, blocks).unwrap();
    for isa in Isa::with_stand_in() {
        let matmul = Native::with_isa(isa, Precision::Exact).unwrap();
        let matrices = [&blocks, &stored(Dtype::BF16, &w), &stored(Dtype::F32, &w), &blocks];
        let weights = matrices.map(|matrix| matmul.prepare(matrix));
        for rows in [1, 40] {
            let x = x.slice(s![..rows, ..]);
            let mut found = [(); 4].map(|()| Array2::zeros((rows, 70)));
            let products = weights.iter().zip(&mut found);
            let products = products.map(|(weight, y)| Product { weight: weight.as_ref(), y: y.view_mut() });
            multiply_all(products.collect(), x, Store::Overwrite);
            for (matrix, found) in matrices.into_iter().zip(found) {
                assert_eq!(found, product(&matmul, matrix, x), "{isa:?} {}", matrix.dtype());
            }
        }
    }
}

#[test]
fn bits_depend_on_neither_the_number_of_rows_nor_their_place_nor_threads() {
    let (x, w) = (numbers(6, 401, 300), numbers(7, 70, 300));
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    for isa in Isa::with_stand_in() {
        for precision in Precision::ALL {
            let matmul = Native::with_isa(isa, precision).unwrap();
            let weight = matmul.prepare(&stored(Dtype::BF16, &w));
            let run = |x: ArrayView2<f32>| {
                let mut y = Array2::zeros((x.nrows(), 70));
                multiply(weight.as_ref(), x, y.view_mut(), Store::Overwrite);
                y
            };
            let all = run(x.view());
            assert_eq!(one.install(|| run(x.view())), all);
            for (from, to) in [(0, 1), (5, 8), (7, 20), (100, 401)] {
                assert_eq!(
                    run(x.slice(s![from..to, ..])),
                    all.slice(s![from..to, ..]),
                    "{isa:?} {precision}"
                );
            }
            let blocks = std::sync::Mutex::new(Array2::from_elem((401, 70), f32::NAN));
            for_blocks(weight.as_ref(), x.view(), 20, &|rows, columns, block| {
                blocks.lock().unwrap().slice_mut(s![rows, columns]).assign(&block);
            });
            assert_eq!(blocks.into_inner().unwrap(), all);
        }
    }
}

/// Whether they become numbers of 16 bits, or lose a third part that is 0 in all, nothing is different.
#[test]
fn numbers_of_f32_that_are_shorter_have_the_same_bits() {
    let (x, w) = (numbers(31, 70, 300), numbers(32, 70, 300));
    let of_f32 = |w: &Array2<f32>| stored(Dtype::F32, w);
    let as_f32 = |dtype: Dtype| of_f32(&widened(&stored(dtype, &w)));
    let short = of_f32(&w.map(|w| f32::from_bits(w.to_bits() & !0xff)));
    for isa in Isa::with_stand_in() {
        let matmul = Native::with_isa(isa, Precision::Exact).unwrap();
        for (matrix, halved) in [
            (as_f32(Dtype::BF16), true),
            (as_f32(Dtype::F16), true),
            (short.clone(), false),
            (of_f32(&w), false),
        ] {
            let [stored, prepared] = [matmul.prepare_as_stored(&matrix), matmul.prepare(&matrix)];
            assert_eq!(prepared.bytes() < stored.bytes(), halved, "{isa:?}");
            for rows in [1, 2, 17, 70] {
                let x = x.slice(s![..rows, ..]);
                let [stored, prepared] = [&stored, &prepared].map(|weight| {
                    let mut y = Array2::from_elem((rows, 70), f32::NAN);
                    multiply(weight.as_ref(), x, y.view_mut(), Store::Overwrite);
                    y
                });
                assert_eq!(stored, prepared, "{isa:?} {rows}");
                // The first outputs of the same numbers beside one that is not short.
                let mut beside = widened(&matrix);
                beside[(69, 299)] = 1.1;
                let beside = product(&matmul, &of_f32(&beside), x);
                assert_eq!(stored.slice(s![.., ..69]), beside.slice(s![.., ..69]), "{isa:?} {rows}");
            }
        }
    }
}

#[test]
fn fused_instruction_sets_have_the_same_bits() {
    let fused: Vec<Isa> =
        Isa::all().iter().copied().filter(|isa| *isa != Isa::Plain && !isa.has_tiles()).collect();
    let (x, w) = (numbers(8, 30, 600), numbers(9, 100, 600));
    let products: Vec<_> = fused
        .iter()
        .map(|&isa| {
            let matmul = Native::with_isa(isa, Precision::Exact).unwrap();
            product(&matmul, &stored(Dtype::F16, &w), x.view())
        })
        .collect();
    assert!(products.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn a_product_is_added_when_it_is_complete() {
    for (name, matmul) in all() {
        let (x, w) = (numbers(10, 20, 700), numbers(11, 33, 700));
        let matrix = stored(Dtype::F32, &w);
        let weight = matmul.prepare(&matrix);
        let mut y = Array2::from_elem((20, 33), 1000.0);
        multiply(weight.as_ref(), x.view(), y.view_mut(), Store::Add);
        let sums = product(matmul.as_ref(), &matrix, x.view());
        let worst = (&y - &(sums + 1000.0)).fold(0.0f32, |a, b| a.max(b.abs()));
        // OpenBLAS adds as it goes.
        assert!(worst <= if name == "blas" { 1e-3 } else { 0.0 }, "{name}: {worst}");
    }
}

#[test]
fn views_with_gaps_and_columns_that_are_rows_multiply_like_copies() {
    let (wide, turned, w) = (numbers(12, 20, 90), numbers(14, 30, 20), numbers(13, 20, 30));
    let views =
        [wide.slice(s![.., 7..37]), wide.slice(s![..;2, 7..37]), wide.slice(s![.., ..;3]), turned.t()];
    for (name, matmul) in all() {
        let matrix = stored(Dtype::F32, &w);
        for x in views {
            let (found, copied) = (product(matmul.as_ref(), &matrix, x), x.to_owned());
            // OpenBLAS has other kernels for other layouts.
            if name == "blas" {
                assert_near(&name, &found, x, &w, F32_PRODUCT_TOLERANCE);
            } else {
                assert_eq!(found, product(matmul.as_ref(), &matrix, copied.view()), "{name}");
            }
        }
    }
}

#[test]
fn an_empty_batch_is_an_empty_result() {
    for (_, matmul) in all() {
        let matrix = stored(Dtype::F32, &numbers(15, 3, 4));
        assert_eq!(product(matmul.as_ref(), &matrix, Array2::zeros((0, 4)).view()).dim(), (0, 3));
    }
}

#[test]
fn results_with_other_bits_have_other_names() {
    let name = |name, precision, best| bits_of(name, precision, best);
    let fused = [Isa::Avx2, Isa::Avx512, Isa::Avx512Vnni];
    for isa in fused.into_iter().chain([Isa::Avx512Bf16]) {
        assert_eq!(name("native", Precision::Exact, isa), "native");
        assert_eq!(name("portable", Precision::Exact, isa), "portable+fused");
        assert_eq!(name("blas", Precision::Exact, isa), "blas");
    }
    for precision in [Precision::Bf16, Precision::Int8] {
        assert!(fused.iter().all(|&isa| name("native", precision, isa) == "native"));
        assert_eq!(name("native", precision, Isa::Avx512Bf16), "native+pairs");
        assert_eq!(name("portable", precision, Isa::Avx512Bf16), "portable+pairs");
        assert_eq!(name("tiles", precision, Isa::AmxBf16), "tiles");
    }
    assert_eq!(name("portable", Precision::Exact, Isa::Plain), "portable");
    assert_eq!(name("portable", Precision::Exact, Isa::SoftTiles), "portable+tiles");
    assert_eq!(name("blas", Precision::Exact, Isa::Plain), "blas+plain");
    let invariant = ["native", "native+pairs", "portable", "tiles"].map(is_invariant);
    let others = ["blas", "blas+plain", "blas, --threads 2", "vllm 0.32"].map(is_invariant);
    assert!(invariant.into_iter().all(|is| is) && others.into_iter().all(|is| !is));
}

#[test]
fn names_and_precisions() {
    assert!(by_name("cuda", Precision::Exact).is_none());
    for precision in Precision::ALL {
        assert_eq!(precision.name().parse(), Ok(precision));
        assert_eq!(by_name("native", precision).unwrap().precision(), precision);
    }
    assert!("fp8".parse::<Precision>().is_err());
}
