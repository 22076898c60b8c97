//! How deep a template nests, counted before it is compiled; and what the compiler does not survive.
//!
//! The compiler goes down a level of the stack for each operator of a chain, each bracket and each `elif`, and limits only
//! some of these by itself, so a long chain would end the process. The tokens are those of the compiler's own lexer, hence
//! nothing is a string or a comment here that is none there.

use minijinja::machinery::{Token, tokenize};
use minijinja::syntax::SyntaxConfig;
use minijinja::{Error, ErrorKind};

/// The deepest nesting of operators and brackets in one tag, and of `elif`s: as many as CPython allows of the parentheses
/// that Jinja writes around operators.
pub const MAX_NESTING: usize = 200;

/// Refuses a template that nests deeper than [`MAX_NESTING`], or imports another one.
///
/// # Errors
/// The line, and what was found. Faulty syntax is left to the compiler.
pub fn check(source: &str, syntax: &SyntaxConfig) -> Result<(), Error> {
    let mut tag = Tag::default();
    let mut ifs = Ifs::default();
    let mut first = false;
    let mut line = 0;
    for (token, span) in tokenize(source, false, syntax.clone()).map_while(Result::ok) {
        line = usize::from(span.start_line);
        match &token {
            Token::VariableStart | Token::BlockStart => tag = Tag::default(),
            Token::VariableEnd | Token::BlockEnd => tag.end(),
            // There is no other template to import, and the compiler relies on names behind `as` that its parser does not ask for.
            Token::Ident(word @ ("import" | "from")) if first => {
                let said = format!("expected a template that stands alone, found {word} in line {line}");
                return Err(Error::new(ErrorKind::InvalidOperation, said));
            }
            Token::Ident(word) if first => ifs.keyword(word),
            Token::BracketOpen | Token::ParenOpen | Token::BraceOpen => tag.open(),
            Token::BracketClose | Token::ParenClose | Token::BraceClose => tag.close(),
            Token::Comma | Token::Colon => tag.next(),
            Token::Ident("and" | "or" | "not" | "in" | "is" | "if") => tag.link(),
            Token::TemplateData(_)
            | Token::Ident(_)
            | Token::Str(_)
            | Token::String(_)
            | Token::Int(_)
            | Token::Int128(_)
            | Token::Float(_) => {}
            _operator => tag.link(),
        }
        first = matches!(token, Token::BlockStart);
        refuse(tag.height.max(ifs.height), line)?;
    }
    // Brackets that nothing closes: the compiler goes as deep before it sees it.
    tag.end();
    refuse(tag.height, line)
}

fn refuse(height: usize, line: usize) -> Result<(), Error> {
    let said = || {
        format!(
            "expected operators, brackets and elifs nested at most {MAX_NESTING} deep, found more in line {line}"
        )
    };
    if height > MAX_NESTING { Err(Error::new(ErrorKind::InvalidOperation, said())) } else { Ok(()) }
}

/// The expressions of a tag, as far as they were read.
#[derive(Default)]
struct Tag {
    /// The open brackets around the one that is read, the tag itself first.
    around: Vec<Level>,
    level: Level,
    /// The height of the highest expression up to now.
    height: usize,
}

/// What stands between two brackets.
#[derive(Default, Clone, Copy)]
struct Level {
    /// Operators since the last comma.
    links: usize,
    /// The height of what stands in closed brackets since the last comma.
    inside: usize,
    /// The height of the highest item before the last comma.
    before: usize,
}

impl Tag {
    fn link(&mut self) {
        self.level.links += 1;
        self.height = self.height.max(self.level.links + self.level.inside);
    }

    fn next(&mut self) {
        self.level = Level { before: self.level.height(), ..Level::default() };
    }

    fn open(&mut self) {
        // What is called or indexed is a link of a chain too.
        self.link();
        self.around.push(std::mem::take(&mut self.level));
    }

    fn close(&mut self) {
        // A bracket that closes nothing is the compiler's to refuse.
        if let Some(outer) = self.around.pop() {
            let inside = outer.inside.max(self.level.height());
            self.level = Level { inside, ..outer };
            self.height = self.height.max(self.level.height());
        }
    }

    fn end(&mut self) {
        while !self.around.is_empty() {
            self.close();
        }
    }
}

impl Level {
    fn height(&self) -> usize {
        self.before.max(self.links + self.inside)
    }
}

/// `elif`s of the blocks that are open: each is a block in the one before it.
#[derive(Default)]
struct Ifs {
    open: Vec<usize>,
    height: usize,
}

impl Ifs {
    fn keyword(&mut self, word: &str) {
        match word {
            "if" => self.open.push(0),
            "elif" => {
                if let Some(elifs) = self.open.last_mut() {
                    *elifs += 1;
                    self.height += 1;
                }
            }
            "endif" => self.height -= self.open.pop().unwrap_or(0),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Program, Template, describe};
    use super::*;

    /// A link of each kind: what stands before, a link, what stands after.
    const CHAINS: [(&str, &str, &str); 26] = [
        ("{{ ", "-", "1 }}"),
        ("{{ 1", " + 1", " }}"),
        ("{{ ", "not ", "a }}"),
        ("{{ a", " and a", " }}"),
        ("{{ a", " or a", " }}"),
        ("{{ 'a'", " ~ 'a'", " }}"),
        ("{{ 1", " ** 1", " }}"),
        ("{{ 1", " // 1", " }}"),
        ("{{ a", " == a", " }}"),
        ("{{ a", " in a", " }}"),
        ("{{ a", ".b", " }}"),
        ("{{ a", "[0]", " }}"),
        ("{{ a", "[0:]", " }}"),
        ("{{ a", "()", " }}"),
        ("{{ a", "|trim", " }}"),
        ("{{ 1", " is odd", " }}"),
        ("{{ 1", " if 1 else 1", " }}"),
        ("{{ 1", " if 1", " }}"),
        ("{{ ", "1 if 1 else ", "1 }}"),
        ("{{ ", "[", " }}"),
        ("{{ ", "(1, [", " }}"),
        ("{{ ", "{a:", " }}"),
        ("{% if a %}", "{% elif a %}", "{% endif %}"),
        ("{% if a %}", "{% elif a %}{% if a %}", " "),
        ("{% filter trim", "|trim", " %}{% endfilter %}"),
        ("{% for ", "(", "a in a %}{% endfor %}"),
    ];

    #[test]
    fn chains_are_compiled_or_refused() {
        for (before, link, after) in CHAINS {
            for program in [Program::LmEval, Program::Transformers] {
                // As long as they may be, which must be compiled on the small stack of a test, and far longer.
                let most = format!("{before}{}{after}", link.repeat(MAX_NESTING / 2));
                let refused = Template::new(&most, program).err().map(|error| describe(&error));
                assert!(refused.is_none_or(|said| !said.contains("nested at most")), "{link}");
                let _ = Template::new(&format!("{before}{}{after}", link.repeat(MAX_NESTING - 1)), program);
                let longer = format!("line\n{before}{}{after}", link.repeat(20_000));
                let said = describe(&Template::new(&longer, program).unwrap_err());
                assert!(said.contains("nested at most 200 deep, found more in line 2"), "{link}: {said}");
            }
        }
    }

    #[test]
    fn what_is_long_and_flat_is_compiled() {
        for flat in [
            format!("{{{{ [{}] }}}}", "-1 + a.b[0]|trim, ".repeat(1000)),
            "{{ a.b|trim }}{% if a and b %}{% elif c %}{% endif %}".repeat(1000),
            format!("{{# {} #}}{{% raw %}}{{{{ {} }}}}{{% endraw %}}", "-".repeat(1000), "-".repeat(1000)),
            format!("{{{{ '{}' }}}}", "[-".repeat(1000)),
        ] {
            Template::new(&flat, Program::LmEval).unwrap();
        }
    }
}
