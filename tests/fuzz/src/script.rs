//! TypeScript: a syntax error at a place within the source, or JavaScript that is read again without one.

use windsock::runner::language::typescript::compile;

pub(crate) fn run(data: &[u8]) {
    let Ok(source) = std::str::from_utf8(data) else {
        return;
    };
    match compile(source) {
        Ok(compiled) => {
            let _ = compiled.signature.schema();
            // Two members of one name are an error in TypeScript alone, which sees none in a property that the
            // constructor's parameters declare.
            let is_typescripts = |text: &str| text.ends_with("has already been declared");
            if let Err(error) = compile(&compiled.javascript)
                && !is_typescripts(&error.message)
            {
                panic!(
                    "what was compiled is not JavaScript: {error}\n{}",
                    compiled.javascript
                );
            }
        }
        Err(error) => {
            let lines = source.split('\n').count();
            assert!(
                error.line >= 1 && error.line as usize <= lines.max(1) + source.len(),
                "{error}"
            );
            assert!(!error.message.trim().is_empty());
        }
    }
}
