//! Whether an engine that threw `null` had run out of memory: with no room left for an error QuickJS throws `null`,
//! which a script may throw as well.
//!
//! Before it makes an object, an error included, the engine collects its garbage if more bytes are in use than after
//! the last collection and half as many again. An engine without room for an error has just collected with its
//! memory full, so it will never collect again. [`ran_out`] tries whether it does. Asked by contexts and by the
//! engine of flows' expressions.

use rquickjs::{CatchResultExt, Ctx, Object, Persistent, Result};

/// Bytes in use before the first collection, of a new engine.
pub(crate) const COLLECT_BYTES: usize = 256 << 10;

/// Makes garbage, takes more and more room, and looks whether the garbage is collected. It mostly is at once.
const TRY: &str = "(limit) => {
  const circle = () => { const one = {}; one.self = one; return new WeakRef(one); };
  const garbage = circle();
  for (let size = 65536; size < limit; size *= 2) {
    let room = new ArrayBuffer(size);
    room = { room };
    if (garbage.deref() === undefined) return false;
    room = undefined;
  }
  return true;
}";

/// What has to live as long as the engine: without it the engine may have no room for what comes before the error
/// about its memory, and throw `null` without a collection.
pub(crate) fn prepare(ctx: &Ctx<'_>) -> Result<Persistent<Object<'static>>> {
    let kept: Object<'_> = ctx.eval("Object.create(InternalError.prototype)")?;
    Ok(Persistent::save(ctx, kept))
}

/// Whether an engine with this limit has ever had no room for an error. When it had not, set its threshold for collections
/// back to [`COLLECT_BYTES`]: the trial has raised it.
pub(crate) fn ran_out(ctx: &Ctx<'_>, limit_bytes: usize) -> bool {
    let tried: Result<bool> = ctx.eval(format!("({TRY})({limit_bytes})"));
    tried.catch(ctx).unwrap_or(true)
}
