import type { Logger } from '../lib/log.ts';
import type { OptionSpecs, ValuesOf } from '../lib/config/types.ts';

/** Standard output or error, as commands see it. */
export interface Writer {
  write(text: string): unknown;
  readonly isTty: boolean;
  /** Width of the terminal; undefined: no terminal, nothing is cut. */
  readonly columns: number | undefined;
  /** Resolves when everything written so far has left the process. */
  drained(): Promise<void>;
}

/** Options of a section of the configuration file: `agent:`, `scheduler:`, ... */
export interface Section<S extends OptionSpecs = OptionSpecs> {
  readonly name: string;
  readonly summary: string;
  readonly options: S;
  /** Contradictions between values that are each valid. */
  readonly check?: (values: ValuesOf<S>, conflict: (message: string, remedy: string) => void) => void;
}

export function defineSection<const S extends OptionSpecs>(section: Section<S>): Section<S> {
  return section;
}

export interface Positional {
  /** In capitals, as help shows it. */
  readonly name: string;
  readonly help: string;
  readonly required?: boolean;
  /** Takes all that follow. */
  readonly many?: boolean;
  readonly values?: readonly string[];
}

export interface CommandContext<V> {
  /** Typed option values by key; durations in ms, bytes, bit/s (lib/config/types.ts). */
  readonly options: V;
  readonly args: readonly string[];
  readonly log: Logger;
  readonly stdout: Writer;
  readonly stderr: Writer;
  /** Aborted at SIGINT or SIGTERM, for commands with `longRunning`. */
  readonly signal: AbortSignal;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
}

type None = Readonly<Record<never, never>>;

export interface CommandSpec<S extends OptionSpecs = OptionSpecs, F extends OptionSpecs = OptionSpecs> {
  readonly name: string;
  /** One line without a full stop. */
  readonly summary: string;
  /** What stands behind `netloom NAME`; derived from arguments and options when absent. */
  readonly usage?: string;
  /** Paragraphs. */
  readonly description?: readonly string[];
  readonly examples: readonly { readonly command: string; readonly text: string }[];
  readonly positionals?: readonly Positional[];
  /** Options that may also stand in the configuration file and the environment. */
  readonly section?: Section<S>;
  /** Options of one invocation: flags only. */
  readonly flags?: F;
  /**
   * Contradictions between values that are each valid, of the section and of the flags.
   * @param isFlag whether the value came from the command line
   */
  readonly check?: (
    values: ValuesOf<S> & ValuesOf<F>,
    conflict: (message: string, remedy: string) => void,
    isFlag: (key: string) => boolean,
  ) => void;
  /** Stops at SIGINT and SIGTERM through `signal`; other commands end at once. */
  readonly longRunning?: boolean;
  /**
   * Resolves to the exit status; undefined is 0. Throws NetloomError for what people can mend.
   * Modules of a room are imported here, with `await import()`: the agent must not load the scheduler.
   */
  readonly run: (ctx: CommandContext<ValuesOf<S> & ValuesOf<F>>) => Promise<number | undefined>;
}

/** A command whose option types are no longer needed. */
export type Command = Omit<CommandSpec, 'run' | 'check'> & {
  readonly check?: (
    values: Readonly<Record<string, unknown>>,
    conflict: (message: string, remedy: string) => void,
    isFlag: (key: string) => boolean,
  ) => void;
  readonly run: (ctx: CommandContext<Readonly<Record<string, unknown>>>) => Promise<number | undefined>;
};

export function defineCommand<const S extends OptionSpecs = None, const F extends OptionSpecs = None>(
  spec: CommandSpec<S, F>,
): Command {
  return spec as unknown as Command;
}
