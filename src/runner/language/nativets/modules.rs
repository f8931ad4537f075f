//! The modules a script can import: the script itself and the built-in `windmill-client`.

use std::{collections::HashSet, sync::LazyLock};

use rquickjs::{
    Ctx, Error, Module,
    loader::{ImportAttributes, Loader, Resolver},
    module::Declared,
};

use super::{foreign_import, is_client, typescript};

const CLIENT: &str = include_str!("windmill.js");

/// What `windmill-client` exports.
static NAMES: LazyLock<HashSet<String>> =
    LazyLock::new(|| typescript::exported(CLIENT).into_iter().collect());

/// Whether `windmill-client` has `name`.
pub(super) fn has(name: &str) -> bool {
    NAMES.contains(name)
}

/// The script's name, in stacks too.
pub(super) const SCRIPT: &str = "script.ts";

/// The names of the built-in module and of what surrounds scripts begin with this; stacks leave them out.
pub(super) const BUILT_IN: &str = "windsock:";

/// Finds the one module there is.
pub(super) struct BuiltIns;

impl Resolver for BuiltIns {
    fn resolve<'js>(
        &mut self,
        _: &Ctx<'js>,
        base: &str,
        name: &str,
        _: Option<ImportAttributes<'js>>,
    ) -> rquickjs::Result<String> {
        if name == SCRIPT {
            return Ok(name.to_owned());
        }
        if is_client(name) {
            return Ok("windsock:windmill-client".to_owned());
        }
        Err(Error::new_resolving_message(
            base,
            name,
            foreign_import(name),
        ))
    }
}

impl Loader for BuiltIns {
    fn load<'js>(
        &mut self,
        ctx: &Ctx<'js>,
        name: &str,
        _: Option<ImportAttributes<'js>>,
    ) -> rquickjs::Result<Module<'js, Declared>> {
        Module::declare(ctx.clone(), name, CLIENT)
    }
}
