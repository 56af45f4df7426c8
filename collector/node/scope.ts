import { readFileSync, statfsSync, statSync, watch, type FSWatcher } from 'node:fs';
import { basename, dirname } from 'node:path';
import { messageOf } from '../../lib/errors.ts';
import type { Logger } from '../../lib/log.ts';
import { parseScopeFile, type ScopeEntry, type ScopeLine } from './scope-file.ts';

/** statfs.f_type of namespace files (linux/magic.h). A path that waits for its bind mount is a plain file. */
const NSFS_MAGIC = 0x6e736673;
/**
 * A namespace that was deleted and made again has the same path and another inode, without any change of the file;
 * a watch cannot tell. Looking costs about 5 us a path.
 */
const LOOK_EVERY_MS = 250;
/** A scope file is written by people and scripts; this is far beyond any. */
const MAX_BYTES = 1024 * 1024;
const MAX_WARNED = 512;

export interface ScopeStatus {
  readonly namespaces: number;
  /** Lines that name no network namespace just now. */
  readonly badLines: number;
  /** False: the file could not be read; the scope is as it was. */
  readonly readable: boolean;
}

export interface ScopeOptions {
  readonly file: string;
  readonly logger: Logger;
  /** Most namespaces that fit; the lines beyond count as bad. */
  readonly maxNamespaces: number;
  /** Told at start and whenever the set has changed. */
  readonly onChange: (inodes: ReadonlySet<number>) => void;
}

/** Follows a scope file and the namespaces that it names. */
export class Scope {
  private readonly options: ScopeOptions;
  private readonly timer: NodeJS.Timeout;
  private readonly watcher: FSWatcher | undefined;
  private stamp = '';
  private lines: readonly ScopeLine[] = [];
  private inodes = '-';
  private readonly warned = new Set<string>();
  private current: ScopeStatus = { namespaces: 0, badLines: 0, readable: false };

  constructor(options: ScopeOptions) {
    this.options = options;
    this.refresh();
    this.watcher = this.watchFolder();
    this.timer = setInterval(() => this.refresh(), LOOK_EVERY_MS);
    this.timer.unref();
  }

  get status(): ScopeStatus {
    return this.current;
  }

  /** Reads the file if it has changed, and looks at every path again. Never throws. */
  refresh(): void {
    const readable = this.readLines();
    const { maxNamespaces, onChange } = this.options;
    const found = new Set<number>();
    let badLines = 0;
    for (const entry of this.lines.map(resolve)) {
      if ('inode' in entry && (found.has(entry.inode) || found.size < maxNamespaces)) {
        found.add(entry.inode);
        this.warned.delete(entry.path);
        continue;
      }
      badLines++;
      this.warnOnce(entry.path, 'scope: a line is not used', {
        file: this.options.file,
        line: entry.line,
        path: entry.path,
        problem: 'inode' in entry ? `more than ${maxNamespaces} namespaces` : entry.problem,
      });
    }
    this.current = { namespaces: found.size, badLines, readable };
    const text = [...found].sort((a, b) => a - b).join(' ');
    if (text === this.inodes) return;
    this.inodes = text;
    onChange(found);
  }

  close(): void {
    clearInterval(this.timer);
    this.watcher?.close();
  }

  private readLines(): boolean {
    const { file } = this.options;
    try {
      const { mtimeMs, ctimeMs, size, ino } = statSync(file);
      const stamp = `${mtimeMs} ${ctimeMs} ${size} ${ino}`;
      if (stamp === this.stamp) return true;
      if (size > MAX_BYTES) throw new Error(`${size} bytes; at most ${MAX_BYTES}`);
      this.lines = parseScopeFile(readFileSync(file, 'utf8'));
      this.stamp = stamp;
      this.warned.clear();
      return true;
    } catch (error) {
      this.stamp = '';
      this.warnOnce('', 'scope: the file cannot be read; the scope stays as it is', {
        file,
        problem: messageOf(error),
      });
      return false;
    }
  }

  private warnOnce(key: string, message: string, fields: object): void {
    if (this.warned.has(key) || this.warned.size >= MAX_WARNED) return;
    this.warned.add(key);
    this.options.logger.warn(message, fields);
  }

  /** So that a change counts at once. Only speeds up: where no watch can be had, the timer finds it. */
  private watchFolder(): FSWatcher | undefined {
    const { file } = this.options;
    try {
      const name = basename(file);
      const watcher = watch(dirname(file), { persistent: false }, (_event, changed) => {
        if (changed === null || changed === name) this.refresh();
      });
      watcher.on('error', () => watcher.close());
      return watcher;
    } catch {
      return undefined;
    }
  }
}

function resolve({ line, path }: ScopeLine): ScopeEntry {
  try {
    if (statfsSync(path).type !== NSFS_MAGIC) return { line, path, problem: 'no namespace file' };
    return { line, path, inode: statSync(path).ino };
  } catch (error) {
    return { line, path, problem: messageOf(error) };
  }
}
