import { lstatSync, mkdirSync } from 'node:fs';
import { enableCompileCache as enable, flushCompileCache } from 'node:module';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';

/** Servers are killed more often than they exit: what was compiled is written once start-up is over. */
const FLUSH_AFTER_MS = 3000;

/**
 * Turns on Node's compile cache under ${XDG_CACHE_HOME:-~/.cache}/netloom, or leaves it off where that cannot be
 * written. Measured on an agent's imports: 77 MB resident with it (from the second start on), 105 MB without.
 * Worker threads and child processes inherit it.
 */
export function enableCompileCache() {
  if (process.env['NODE_DISABLE_COMPILE_CACHE'] !== undefined || process.env['NODE_COMPILE_CACHE'] !== undefined)
    return;
  const folder = cacheFolder();
  if (folder === undefined) return;
  try {
    enable(folder);
    process.env['NODE_COMPILE_CACHE'] = folder;
    setTimeout(flushCompileCache, FLUSH_AFTER_MS).unref();
  } catch {
    // Slower and larger, but nothing is wrong.
  }
}

/** @returns {string | undefined} */
function cacheFolder() {
  try {
    const base = process.env['XDG_CACHE_HOME'];
    const folder = join(base !== undefined && isAbsolute(base) ? base : join(homedir(), '.cache'), 'netloom');
    makeFolder(dirname(folder));
    makeFolder(folder);
    const stat = lstatSync(folder);
    // Code is loaded from here: a folder that somebody else can write to would let them run theirs as us.
    const ours = stat.isDirectory() && stat.uid === process.getuid?.() && (stat.mode & 0o022) === 0;
    return ours ? folder : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Not `recursive`: that never returns where a parent cannot hold folders but says ENOENT, as /proc does.
 * @param {string} folder
 */
function makeFolder(folder) {
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
  }
}
