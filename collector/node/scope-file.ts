/** Inode of a namespace, or why the line is not used. */
export type ScopeEntry =
  | { readonly line: number; readonly path: string; readonly inode: number }
  | { readonly line: number; readonly path: string; readonly problem: string };

export interface ScopeLine {
  /** From 1. */
  readonly line: number;
  readonly path: string;
}

/** Lines of a scope file: one path of a network namespace each; empty lines and those that begin with # say nothing. */
export function parseScopeFile(text: string): readonly ScopeLine[] {
  return text
    .split(/\r?\n/)
    .map((raw, index) => ({ line: index + 1, path: raw.trim() }))
    .filter(({ path }) => path !== '' && !path.startsWith('#'));
}
