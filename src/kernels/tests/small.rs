//! Every walk over memory at shapes that are small and reach its ends: whole tiles and panels, their tails, a second part.
//!
//! Few enough operations for an interpreter: `make miri` runs these, and what they reach is checked access by access.

use super::*;

const SMALL: [(usize, usize, usize); 3] = [(1, 1, 1), (3, 17, 5), (13, 33, 6)];

fn implementations() -> Vec<(Precision, String, Box<dyn MatMul>)> {
    let mut all = Vec::new();
    for precision in Precision::ALL {
        for isa in Isa::with_stand_in() {
            let native = Native::with_isa(isa, precision).expect("an instruction set of this processor");
            all.push((precision, isa.name().to_owned(), Box::new(native) as Box<dyn MatMul>));
        }
    }
    all
}

#[test]
fn small_products_reach_every_number_and_no_other() {
    for (m, n, k) in SMALL {
        let (x, w) = (numbers(1, m, k), numbers(2, n, k));
        for dtype in [Dtype::F32, Dtype::F16, Dtype::BF16] {
            let matrix = stored(dtype, &w);
            for (precision, isa, matmul) in implementations() {
                let found = product(matmul.as_ref(), &matrix, x.view());
                let tolerance = match precision {
                    Precision::Exact => F32_PRODUCT_TOLERANCE,
                    _ => 2e-2 * k as f64,
                };
                let what = format!("{isa} {precision} {dtype} {m}x{n}x{k}");
                assert_near(&what, &found, x.view(), &widened(&matrix), tolerance);
            }
        }
    }
}

#[test]
fn a_second_part_goes_on_from_the_first() {
    // One more column than a part has, and than a part of blocks of integers.
    for (m, n, k) in [(1, 1, 257), (1, 2, 513)] {
        let (x, w) = (numbers(3, m, k), numbers(4, n, k));
        for (precision, isa, matmul) in implementations() {
            let found = product(matmul.as_ref(), &stored(Dtype::F32, &w), x.view());
            let tolerance = if precision == Precision::Exact { F32_PRODUCT_TOLERANCE } else { 5e-2 };
            assert_near(&format!("{isa} {precision}"), &found, x.view(), &w, tolerance);
        }
    }
}

#[test]
fn blocks_are_widened_to_the_last_row() {
    let bytes: Vec<u8> = (0..17 * 34u32).map(|i| (i * 7 % 60) as u8).collect();
    let matrix = StoredMatrix::new(Dtype::Q8_0, 17, 32, bytes).unwrap();
    let x = numbers(5, 3, 32);
    for isa in Isa::with_stand_in() {
        let matmul = Native::with_isa(isa, Precision::Exact).unwrap();
        let found = product(&matmul, &matrix, x.view());
        assert_near(isa.name(), &found, x.view(), &widened(&matrix), F32_PRODUCT_TOLERANCE);
    }
}

#[test]
fn small_strided_products_leave_gaps_alone() {
    let width = column_step();
    let (rows, depth) = (5, 3);
    let (a, b) = (numbers(6, rows, depth + 2), numbers(7, depth, width + 3));
    let mut c = Array2::from_elem((rows, width + 1), 9.0f32);
    let shape = |rows, columns, stride| MatrixLayout { rows, columns, stride };
    // Without the gap after the last row.
    let (a_end, b_end, c_end) = (a.len() - 2, b.len() - 3, c.len() - 1);
    multiply_small(
        (&a.as_slice().unwrap()[..a_end], shape(rows, depth, depth + 2)),
        (&b.as_slice().unwrap()[..b_end], shape(depth, width, width + 3)),
        (&mut c.as_slice_mut().unwrap()[..c_end], shape(rows, width, width + 1)),
        false,
    );
    let (a, b) = (a.slice(s![.., ..depth]), b.slice(s![.., ..width]));
    let found = c.slice(s![.., ..width]).to_owned();
    assert_near("strided", &found, a, &b.t().to_owned(), F32_PRODUCT_TOLERANCE);
    assert!(c.column(width).iter().all(|&gap| gap == 9.0));
}
