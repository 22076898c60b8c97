//! Puts what pays into a compiled template.
//!
//! minijinja's instructions for operators become filters and tests of ours, under names that no operator of a template has
//! (`bounded.rs`, `compared.rs`). Where the engine's own answer is needed, with what it knows of the place, the instruction stays
//! and others come before it, which look at its operands and leave the stack as it was.

use minijinja::Error;
use minijinja::machinery::{CompiledTemplate, Instruction, Instructions};
use minijinja::value::ValueKind;

use super::{bounded, compared, invalid};

/// The most pairs that a map in a template's text has.
const MAX_PAIRS: usize = 1 << 13;
/// The most values that a list in a template's text has to be replaced: a call has room for no more. Longer ones are as
/// long as the text.
const MAX_ITEMS: usize = 2 * MAX_PAIRS;
/// Stands for the number of a filter or test that the engine does not remember.
const UNREMEMBERED: u8 = !0;

/// Puts the operators in place of the compiler's own instructions.
///
/// # Errors
/// A map that is too long.
pub fn replace(compiled: &mut CompiledTemplate<'_>) -> Result<(), Error> {
    for instructions in std::iter::once(&mut compiled.instructions).chain(compiled.blocks.values_mut()) {
        replace_in(instructions)?;
        guard(instructions);
    }
    Ok(())
}

fn replace_in(instructions: &mut Instructions<'_>) -> Result<(), Error> {
    let mut at = 0;
    while let Some(instruction) = instructions.get_mut(at) {
        let arguments = |values: usize| (values <= MAX_ITEMS).then_some(values);
        let filter = match instruction {
            Instruction::Add => Some((bounded::PLUS, 2)),
            Instruction::Mul => Some((bounded::TIMES, 2)),
            Instruction::StringConcat => Some((bounded::CONCAT, 2)),
            Instruction::Slice => Some((bounded::SLICE, 4)),
            Instruction::BuildList(Some(items)) => arguments(*items).map(|items| (bounded::LIST, items)),
            Instruction::BuildTuple(Some(items)) => arguments(*items).map(|items| (bounded::TUPLE, items)),
            Instruction::BuildMap(pairs) if *pairs > MAX_PAIRS => {
                return Err(invalid(format!("expected a map of at most {MAX_PAIRS} pairs, found {pairs}")));
            }
            Instruction::BuildMap(pairs) => Some((bounded::MAP, *pairs * 2)),
            Instruction::BuildKwargs(pairs) => arguments(*pairs * 2).map(|items| (bounded::KWARGS, items)),
            Instruction::CallMethod("changed", Some(arguments)) => {
                Some((compared::CHANGED, usize::from(*arguments)))
            }
            _ => None,
        };
        let test = match instruction {
            Instruction::Eq => Some(compared::EQUAL),
            Instruction::Ne => Some(compared::UNEQUAL),
            Instruction::Lt => Some(compared::LESS),
            Instruction::Lte => Some(compared::AT_MOST),
            Instruction::Gt => Some(compared::MORE),
            Instruction::Gte => Some(compared::AT_LEAST),
            _ => None,
        };
        if let Some((name, arguments)) = filter {
            let arguments = u16::try_from(arguments).expect("a replaced instruction has few arguments");
            *instruction = Instruction::ApplyFilter(name, Some(arguments), UNREMEMBERED);
        } else if let Some(name) = test {
            *instruction = Instruction::PerformTest(name, Some(2), UNREMEMBERED);
        }
        at += 1;
    }
    Ok(())
}

/// What comes before an instruction.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Guard {
    None,
    /// A value to be kept in a namespace passes a filter: it and the namespace are on the stack, in this order.
    Kept,
    /// A value whose characters are gone through.
    Read,
    /// A value and a key, in this order: a key is read, and the characters of a text are counted.
    Looked,
    /// Two values that are compared.
    Compared,
}

impl Guard {
    fn of(instruction: &Instruction<'_>, before: Option<&Instruction<'_>>) -> Self {
        match instruction {
            Instruction::SetAttr(_) => Self::Kept,
            // What a loop is over, also where it is called.
            Instruction::PushLoop(_) | Instruction::FastRecurse | Instruction::CallFunction(_, Some(1)) => {
                Self::Read
            }
            // A name in the template's text is short, and no place in a text.
            Instruction::GetItem => match before {
                Some(Instruction::LoadConst(key)) if key.kind() == ValueKind::String => Self::None,
                _ => Self::Looked,
            },
            Instruction::In | Instruction::CompareAndPreserve(_) => Self::Compared,
            _ => Self::None,
        }
    }

    fn instructions(self) -> Vec<Instruction<'static>> {
        use Instruction::{ApplyFilter, DiscardTop, DupTop, PerformTest, Swap, UnpackList};
        let test = |name| [DupTop, PerformTest(name, Some(1), UNREMEMBERED), DiscardTop];
        match self {
            Self::None => Vec::new(),
            Self::Kept => vec![Swap, ApplyFilter(bounded::KEEP, Some(1), UNREMEMBERED), Swap],
            Self::Read => test(compared::TEXT).to_vec(),
            Self::Looked => [&test(compared::KEY)[..], &[Swap], &test(compared::TEXT), &[Swap]].concat(),
            Self::Compared => vec![ApplyFilter(compared::PAIR, Some(2), UNREMEMBERED), UnpackList(2)],
        }
    }
}

/// Puts the guards in, and after each step of a loop a look at the time.
fn guard(instructions: &mut Instructions<'_>) {
    let mut all = Vec::new();
    let mut targets = std::collections::BTreeSet::new();
    while let Some(instruction) = instructions.get(u32::try_from(all.len()).expect("fewer than bytes")) {
        let mut instruction = instruction.clone();
        targets.extend(target_of(&mut instruction).map(|target| *target));
        all.push(instruction);
    }
    let guards: Vec<Guard> = (0..all.len())
        .map(|at| {
            // What may be jumped to has no known instruction before it.
            let is_target = targets.contains(&u32::try_from(at).expect("fewer than bytes"));
            let before = at.checked_sub(1).filter(|_| !is_target).map(|before| &all[before]);
            Guard::of(&all[at], before)
        })
        .collect();
    let added = |guard: &Guard| guard.instructions().len();
    let after = |instruction: &Instruction<'_>| match instruction {
        Instruction::Iterate(_) => {
            &[Instruction::PerformTest(compared::TIME, Some(0), UNREMEMBERED), Instruction::DiscardTop][..]
        }
        _ => &[],
    };
    if guards.iter().all(|guard| added(guard) == 0) {
        // Without a loop either.
        return;
    }
    // Where each instruction moves to, together with what comes before it.
    let mut moved = Vec::with_capacity(all.len() + 1);
    let mut at = 0;
    for (instruction, guard) in all.iter().zip(&guards) {
        moved.push(u32::try_from(at).expect("fewer than bytes"));
        at += added(guard) + 1 + after(instruction).len();
    }
    moved.push(u32::try_from(at).expect("fewer than bytes"));
    let mut guarded = Instructions::new(instructions.name(), instructions.source());
    for (number, (mut instruction, guard)) in (0..).zip(all.into_iter().zip(guards)) {
        if let Some(target) = target_of(&mut instruction) {
            *target = moved[*target as usize];
        }
        let line = instructions.get_line(number).and_then(|line| u16::try_from(line).ok());
        let after = after(&instruction).to_vec();
        for added in guard.instructions().into_iter().chain([instruction]).chain(after) {
            match line {
                Some(line) => guarded.add_with_line(added, line),
                None => guarded.add(added),
            };
        }
    }
    *instructions = guarded;
}

/// Where an instruction may jump to.
fn target_of<'a>(instruction: &'a mut Instruction<'_>) -> Option<&'a mut u32> {
    match instruction {
        Instruction::Iterate(target)
        | Instruction::Jump(target)
        | Instruction::JumpIfFalse(target)
        | Instruction::JumpIfFalseOrPop(target)
        | Instruction::JumpIfTrueOrPop(target)
        | Instruction::BuildMacro(_, target, _) => Some(target),
        _ => None,
    }
}
