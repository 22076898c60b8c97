use super::*;

/// Of every kind of cell one; the last row has as little as there can be.
fn table() -> Table<usize> {
    let rate = |row| [Some(0.123_456), Some(1.0), None][row];
    Table::of(0..3)
        .column(text("name").wraps(), |row| ["short", "a name of several words | and a bar", ""][row])
        .column(number("parameters").short("size"), |row| {
            Cell::written([Some(7_000_000_000_u64), Some(12), None][row], |n: u64| format!("{n} or so"))
                .or_dash()
        })
        .column(number("rate").titled("a rate"), |row| Cell::written(rate(row), |x: f64| format!("{x:.2}")))
        .column(number("exact").from_width(60), |row| [0.5, 1e-7, 3.0][row])
        .column(data("flag"), |row| row == 0)
        .column(people(text("here").not_in_markdown()), |row| row == 0)
        .column(people(text("words")), |row| {
            Cell::from(["full\nwords", "", "x"][row]).short(["few", "", "x"][row])
        })
}

#[test]
fn every_form() {
    insta::assert_snapshot!("text_100", table().text(100));
    insta::assert_snapshot!("text_50", table().text(50));
    insta::assert_snapshot!("markdown", table().markdown());
    insta::assert_snapshot!("csv", table().csv());
    insta::assert_snapshot!("csv_of_decimals", table().decimal_floats().csv());
    insta::assert_snapshot!("json", table().json());
}

#[test]
fn a_table_without_rows_has_its_heads() {
    let empty = Table::of([0_u64; 0]).column(text("a"), |_| "").column(number("b"), |row| row);
    assert_eq!(empty.text(80), " a   b\n───────\n");
    assert_eq!(empty.markdown(), "| a | b |\n|---|--:|\n");
    assert_eq!(empty.csv(), "a,b\n");
    assert_eq!(empty.json(), "[]\n");
}

#[test]
fn columns_that_wrap_keep_what_they_are_promised() {
    let words = "many words that do not fit";
    let wide = Table::of([words, "x"])
        .column(text("a").wraps_from(12), |row| row)
        .column(text("b"), |_| "0123456789");
    let drawn = wide.text(24);
    assert!(drawn.lines().count() > 4 && drawn.contains(" many words"), "{drawn}");
    let kept = Table::of([words]).column(text("a"), |row| row).text(10);
    assert!(kept.contains(words), "{kept}");
}
