//! Both containers, the unpickler and the layouts, on files made by hand: good ones, odd ones and hostile ones.

use proptest::prelude::*;

use super::testing::{Pickle, View, container, file_of, old_container, written, zip, zip64};
use super::*;
use crate::weights::{Access, TensorSource};

fn open(bytes: &[u8]) -> Result<TorchFile, WeightsError> {
    let (_folder, path) = written(bytes);
    TorchFile::open(path)
}

fn fault(bytes: &[u8]) -> (FaultKind, String) {
    let error = open(bytes).unwrap_err();
    (error.fault_kind().unwrap_or_else(|| panic!("{error}")), error.to_string())
}

fn kind_of_pickle(pickle: Pickle) -> FaultKind {
    fault(&container(&pickle.0, &[("0", &[0.0; 4])])).0
}

fn values(file: &TorchFile, name: &str) -> Vec<f32> {
    file.tensor(name).unwrap().to_f32().unwrap()
}

fn read_all(bytes: &[u8]) -> Result<(), WeightsError> {
    let file = open(bytes)?;
    for info in file.tensors() {
        let view = file.tensor(&info.name)?;
        assert_eq!(info.dtype.bytes_for(info.elements()), Some(view.data.len()));
        file.hint(&info.name, Access::Soon);
        file.hint(&info.name, Access::Done);
    }
    Ok(())
}

/// Two views of one storage, one of them transposed.
fn shared() -> (Vec<u8>, [f32; 6]) {
    let whole = View::whole("7", &[2, 3]);
    let pickle = Pickle::state_dict(&[("b", whole.clone().at(0, &[3, 2], &[1, 3])), ("a", whole)]);
    (pickle, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
}

#[test]
fn views_share_a_storage_in_every_container() {
    let (pickle, numbers) = shared();
    let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
    let wide = zip64(&[("x/y/data.pkl", &pickle), ("x/y/data/7", &bytes), ("x/y/version", b"3\n")]);
    for file in [container(&pickle, &[("7", &numbers)]), old_container(&pickle, &[("7", &numbers)]), wide] {
        let file = open(&file).unwrap();
        assert_eq!(values(&file, "a"), numbers);
        assert_eq!(values(&file, "b"), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        assert_eq!(file.tensors().iter().map(|info| info.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert!(matches!(file.tensor("c"), Err(WeightsError::MissingTensor { .. })));
    }
}

#[test]
fn a_python_2_file_with_a_view_of_a_storage_is_read() {
    // _rebuild_tensor, names as byte strings, OrderedDict made from a list, a view that begins at element 2.
    let storage = Pickle(Vec::new())
        .raw(b"(U\x07storage")
        .global("torch", "FloatStorage")
        .raw(b"U\x017U\x03cpuK\x06(U\x01vK\x02K\x04ttQ");
    let pickle = Pickle::new()
        .global("collections", "OrderedDict")
        .raw(b"(](](U\x01a")
        .global("torch._utils", "_rebuild_tensor")
        .raw(b"(")
        .raw(&storage.0)
        .raw(b"K\x01K\x02\x85K\x01\x85tReetR.");
    let file = open(&old_container(&pickle.0, &[("7", &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0])])).unwrap();
    assert_eq!(values(&file, "a"), [3.0, 4.0]);
}

#[test]
fn a_trainers_dictionary_is_looked_through_unless_there_are_several() {
    let view = View::whole("0", &[4]);
    let inner = |pickle: Pickle| pickle.raw(b"}(").text("a").tensor(&view).raw(b"u");
    let one = inner(Pickle::new().raw(b"}(").text("epoch").int(3).text("state_dict")).raw(b"u.");
    let two = inner(inner(Pickle::new().raw(b"}(").text("model")).text("ema")).raw(b"u.");
    let names = |pickle: Pickle| {
        let file = open(&container(&pickle.0, &[("0", &[0.0; 4])])).unwrap();
        file.tensors().iter().map(|info| info.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(one), ["a"]);
    assert_eq!(names(two), ["ema.a", "model.a"]);
    let numbered =
        inner(inner(Pickle::new().raw(b"}(").text("model")).text("state").raw(b"}(K\x00")).raw(b"uu.");
    assert_eq!(kind_of_pickle(numbered), FaultKind::InconsistentHeader);
    let listed =
        Pickle::new().raw(b"}(").text("a").tensor(&view).text("more").raw(b"](").tensor(&view).raw(b"eu.");
    assert_eq!(kind_of_pickle(listed), FaultKind::Unsupported);
}

#[test]
fn whatever_tensors_do_not_need_is_refused_by_name() {
    for (module, name) in [
        ("os", "system"),
        ("builtins", "eval"),
        ("torch", "load"),
        ("torch._utils", "_rebuild_tensor_v2.__globals__"),
        ("torch.FloatStorage", "__reduce__"),
        ("numpy.core.multiarray", "_reconstruct"),
    ] {
        let pickle = Pickle::new().global(module, name).raw(b")R.");
        let (kind, text) = fault(&container(&pickle.0, &[]));
        assert_eq!(kind, FaultKind::Forbidden);
        assert!(text.contains(&format!("{module}.{name}")), "{text}");
    }
    let forbidden = [
        &b"cos\nsystem\n0}."[..],
        b"(ios\nsystem\n.",
        b"(ctorch\nSize\no.",
        b"Pos.system\n.",
        b"\x82\x01.",
        b"\x97.",
        b"ctorch\nFloatStorage\n)R.",
        b"(X\x06\0\0\0moduletQ.",
    ];
    for code in forbidden {
        assert_eq!(kind_of_pickle(Pickle::new().raw(code)), FaultKind::Forbidden, "{}", code.escape_ascii());
    }
    let stack_global = Pickle::new().text("posix").text("system").raw(b"\x93.");
    assert_eq!(kind_of_pickle(stack_global), FaultKind::Forbidden);
}

#[test]
fn damaged_pickles_have_their_kind() {
    use FaultKind::{InconsistentHeader, LimitExceeded, Truncated, Unsupported};
    let deep = [vec![b')'], vec![0x85; 200], b".".to_vec()].concat();
    let cases: &[(&[u8], FaultKind)] = &[
        (b"}", Truncated),
        (b"X\x05\0\0\0ab", Truncated),
        (b"c", Truncated),
        (b"\x95\x40\0\0\0\0\0\0\0}.", Truncated),
        (b"t.", InconsistentHeader),
        (b"0.", InconsistentHeader),
        (b"(R.", InconsistentHeader),
        (b"}h\x09.", InconsistentHeader),
        (b"}K\x01a.", InconsistentHeader),
        (b"](K\x01u.", InconsistentHeader),
        (b"}(K\x01u.", InconsistentHeader),
        (b"K\x01b.", InconsistentHeader),
        (b"K\x01)R.", InconsistentHeader),
        (b"ccollections\nOrderedDict\nK\x01R.", InconsistentHeader),
        (b"K\x01Q.", InconsistentHeader),
        (b"U\x01\xff.", InconsistentHeader),
        (b"Ix\n.", InconsistentHeader),
        (b"\x8b\xff\xff\xff\xff.", InconsistentHeader),
        (b"].", InconsistentHeader),
        (b"}..", InconsistentHeader),
        (b"}(K\x01", Truncated),
        (b"\xff.", Unsupported),
        (b"\x80\x06}.", Unsupported),
        (b"S'a\\x62'\n.", Unsupported),
        (b"ctorch\nQInt8Storage\n.", Unsupported),
        (b"X\xff\xff\xff\xff.", LimitExceeded),
        (b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff.", LimitExceeded),
        (b"\x95\xff\xff\xff\xff\xff\xff\xff\xff}.", LimitExceeded),
        (b"\x8a\x11", LimitExceeded),
        (&deep, LimitExceeded),
        (&[b')'; 2 << 20], LimitExceeded),
        (&[b'('; 2 << 20], LimitExceeded),
        (&[b'N'; 2 << 20], LimitExceeded),
    ];
    for (code, kind) in cases {
        let shown = code.get(..20).unwrap_or(code).escape_ascii();
        assert_eq!(kind_of_pickle(Pickle::new().raw(code)), *kind, "{shown}");
    }
}

#[test]
fn what_names_nothing_large_is_passed_over() {
    // A memo of any number, doubling tuples, floats, bytes, protocol 0 texts.
    for code in [
        &b"}r\xff\xff\xff\xff."[..],
        b"}X\x01\0\0\0a)q\x00h\x00\x86q\x01h\x01\x86q\x02h\x02\x86s.",
        b"}(S'a'\nF1.5\nVb\nG\0\0\0\0\0\0\0\0U\x01cC\x02xyu.",
        b"}(I1\nI01\nL5L\n\x8a\x01\x05u.",
    ] {
        let pickle = Pickle::new().raw(code);
        let outcome = open(&container(&pickle.0, &[]));
        let shown = code.escape_ascii();
        match outcome {
            Ok(file) => assert!(file.tensors().is_empty(), "{shown}"),
            Err(error) => panic!("{shown}: {error}"),
        }
    }
    // A container that holds itself has no end.
    let itself = Pickle::new().raw(b"}q\x00X\x01\0\0\0ah\x00s.");
    let kind = open(&container(&itself.0, &[])).unwrap_err().fault_kind();
    assert_eq!(kind, Some(FaultKind::InconsistentHeader));
}

#[test]
fn a_view_must_stay_inside_its_storage() {
    use FaultKind::{InconsistentHeader, LimitExceeded, MissingData, PathEscape, Truncated};
    let whole = || View::whole("0", &[4]);
    let kind = |view: View| kind_of_pickle(Pickle(Pickle::state_dict(&[("a", view)])));
    assert_eq!(kind(whole().at(1, &[4], &[1])), InconsistentHeader);
    assert_eq!(kind(whole().at(0, &[2, 2], &[1])), InconsistentHeader);
    assert_eq!(kind(whole().at(-1, &[4], &[1])), InconsistentHeader);
    assert_eq!(kind(whole().at(0, &[-4], &[1])), InconsistentHeader);
    assert_eq!(kind(whole().at(0, &[4], &[-1])), InconsistentHeader);
    assert_eq!(kind(whole().at(0, &[2], &[i64::MAX / 2])), LimitExceeded);
    assert_eq!(kind(whole().at(0, &[3, 1 << 40], &[1 << 40, 1])), InconsistentHeader);
    assert_eq!(kind(whole().at(0, &[1 << 20, 1 << 20], &[0, 0])), LimitExceeded);
    assert_eq!(kind(whole().at(0, &[1 << 40, 1 << 40], &[0, 0])), LimitExceeded);
    assert_eq!(kind(whole().at(0, &[1; 17], &[1; 17])), LimitExceeded);
    assert_eq!(kind(View::whole("0", &[400])), Truncated);
    assert_eq!(kind(View::whole("0", &[3])), InconsistentHeader);
    assert_eq!(kind(View::whole("0", &[i64::MAX])), LimitExceeded);
    assert_eq!(kind(View::whole("1", &[4])), MissingData);
    assert_eq!(kind(View::whole("../0", &[4])), PathEscape);
    assert_eq!(kind(View::whole(&"0".repeat(1000), &[4])), LimitExceeded);
    let halves = View { class: "HalfStorage", ..whole() };
    let pickle = Pickle::state_dict(&[("a", whole()), ("b", halves)]);
    assert_eq!(kind_of_pickle(Pickle(pickle)), InconsistentHeader);
    let pickle = Pickle::state_dict(&[("a", whole()), ("a", whole())]);
    assert_eq!(kind_of_pickle(Pickle(pickle)), InconsistentHeader);
}

#[test]
fn many_large_views_of_a_small_file_are_refused() {
    let view = View::whole("0", &[4]).at(0, &[250_000], &[0]);
    let names: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    let views: Vec<(&str, View)> = names.iter().map(|name| (name.as_str(), view.clone())).collect();
    assert_eq!(kind_of_pickle(Pickle(Pickle::state_dict(&views))), FaultKind::LimitExceeded);
    let one = Pickle::state_dict(views.get(..1).unwrap());
    let file = open(&container(&one, &[("0", &[2.5; 4])])).unwrap();
    assert!(values(&file, "0").iter().all(|&x| x == 2.5));
}

#[test]
fn archives_that_are_not_of_torch_save() {
    use FaultKind::{InconsistentHeader, MissingData, PathEscape, Truncated, Unsupported};
    let (pickle, _) = shared();
    let kind = |members: &[(&str, &[u8])]| fault(&zip(members)).0;
    assert_eq!(kind(&[("m/version", b"3")]), MissingData);
    assert_eq!(kind(&[("m/data.pkl", &pickle), ("n/data.pkl", &pickle)]), InconsistentHeader);
    assert_eq!(kind(&[("m/data.pkl", &pickle), ("m/data.pkl", &pickle)]), InconsistentHeader);
    assert_eq!(kind(&[("m/data.pkl", &pickle), ("m/code/a.py", b"")]), Unsupported);
    assert_eq!(kind(&[("m/data.pkl", &pickle), ("m/byteorder", b"big")]), Unsupported);
    for name in ["../x", "/x", "m/../../x", "C:\\x", "m\0"] {
        assert_eq!(kind(&[("m/data.pkl", &pickle), (name, b"")]), PathEscape, "{name:?}");
    }
    assert_eq!(fault(b"").0, Truncated);
    assert_eq!(fault(b"PK\x03\x04").0, Truncated);
    assert_eq!(fault(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n").0, MissingData);
    let (kind, text) = fault(b"\n<!DOCTYPE HTML>\n<html>");
    assert!(kind == Unsupported && text.contains("web page"), "{text}");
    let tar = [vec![0; 257], b"ustar".to_vec(), vec![0; 250]].concat();
    let (kind, text) = fault(&tar);
    assert!(kind == Unsupported && text.contains("tar archive"), "{text}");
    assert_eq!(fault(b"GGUF\x03").0, Unsupported);
    assert_eq!(fault(b"\x80\x02}.").0, Unsupported);
}

#[test]
fn the_old_container_is_checked_against_its_state_dict() {
    use FaultKind::{InconsistentHeader, MissingData, Truncated};
    let (pickle, numbers) = shared();
    let kind = |storages: &[(&str, &[f32])]| fault(&old_container(&pickle, storages)).0;
    assert_eq!(kind(&[]), MissingData);
    assert_eq!(kind(&[("8", &numbers)]), InconsistentHeader);
    assert_eq!(kind(&[("7", &numbers[..5])]), InconsistentHeader);
    assert_eq!(kind(&[("7", &numbers), ("7", &numbers)]), InconsistentHeader);
    let mut cut = old_container(&pickle, &[("7", &numbers)]);
    cut.truncate(cut.len() - 1);
    assert_eq!(fault(&cut).0, Truncated);
}

#[test]
fn every_cut_of_a_file_is_refused() {
    let (pickle, numbers) = shared();
    for whole in [container(&pickle, &[("7", &numbers)]), old_container(&pickle, &[("7", &numbers)])] {
        for length in 0..whole.len() {
            assert!(read_all(&whole[..length]).is_err(), "{length} of {}", whole.len());
        }
    }
}

/// What a view means, element by element.
fn naive(view: &View, storage: &[f32]) -> Option<Vec<f32>> {
    let mut places = vec![view.offset];
    for (&dim, &step) in view.size.iter().zip(&view.stride) {
        places = places.iter().flat_map(|&place| (0..dim).map(move |i| place + i * step)).collect();
    }
    places.iter().map(|&place| storage.get(usize::try_from(place).ok()?).copied()).collect()
}

proptest! {
    #[test]
    fn a_view_is_what_its_strides_say(
        axes in prop::collection::vec((0i64..5, 0i64..7), 0..4),
        offset in 0i64..10,
    ) {
        let numbers: Vec<f32> = (0..40u8).map(f32::from).collect();
        let (size, stride): (Vec<i64>, Vec<i64>) = axes.into_iter().unzip();
        let view = View::whole("0", &[40]).at(offset, &size, &stride);
        let bytes = container(&Pickle::state_dict(&[("a", view.clone())]), &[("0", &numbers)]);
        match (open(&bytes), naive(&view, &numbers)) {
            (Ok(file), Some(expected)) => prop_assert_eq!(values(&file, "a"), expected),
            (Err(error), None) => {
                prop_assert_eq!(error.fault_kind(), Some(FaultKind::InconsistentHeader));
            }
            (file, expected) => prop_assert!(false, "{:?} for {:?}", file.map(|f| values(&f, "a")), expected),
        }
    }

    #[test]
    fn changed_bytes_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        form in 0..3,
    ) {
        let (pickle, numbers) = shared();
        let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        let mut file = match form {
            0 => container(&pickle, &[("7", &numbers)]),
            1 => old_container(&pickle, &[("7", &numbers)]),
            _ => zip64(&[("m/data.pkl", &pickle), ("m/data/7", &bytes)]),
        };
        for (place, byte) in changes {
            let place = place.index(file.len());
            file[place] = byte;
        }
        // Either answer will do; both went through every check.
        let _ = read_all(&file);
    }
}

#[test]
fn large_transposed_matrices_are_gathered_in_parts() {
    let (rows, columns) = (700, 300);
    let numbers: Vec<f32> = (0..rows * columns).map(|i| i as f32).collect();
    let view = View::whole("0", &[rows, columns]).at(0, &[columns, rows], &[1, columns]);
    let file = open(&container(&Pickle::state_dict(&[("a", view)]), &[("0", &numbers)])).unwrap();
    let (rows, columns) = (rows as usize, columns as usize);
    let expected: Vec<f32> = (0..rows * columns).map(|i| numbers[i % rows * columns + i / rows]).collect();
    assert_eq!(values(&file, "a"), expected);
}

#[test]
fn hand_made_files_hold_their_tensors() {
    let file = open(&file_of(&[("a", &[2], vec![1.0, 2.0]), ("b", &[1, 1], vec![3.0])])).unwrap();
    assert_eq!((values(&file, "a"), values(&file, "b")), (vec![1.0, 2.0], vec![3.0]));
}
