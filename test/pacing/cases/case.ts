import type { Bench } from '../guest/bench.ts';
import type { KernelName } from '../guest/kernels.ts';

/** Limits of a figure, both included. */
export interface Bounds {
  readonly min?: number;
  readonly max?: number;
}

/** What a case measured, by name; names end in their unit (`p99Ms`, `goodputMbit`), shares are in percent. */
export type Figures = Readonly<Record<string, number>>;

/** One measurement, its guest and what must come out. Known to the host and to the guest. */
export interface Case {
  /** No spaces: it stands on the guest's command line. */
  readonly id: string;
  /** Of edt-study.md §9, §12 and §13.11, which issue 5 names. */
  readonly number: number;
  readonly what: string;
  /** Part of every CI run. */
  readonly ci?: boolean;
  readonly kernels: readonly KernelName[];
  /** See `Boot.shift`: 0 where the guest's CPU would bind otherwise. */
  readonly shift: 0 | 1;
  /** Modules that are not loaded. */
  readonly without?: readonly string[];
  readonly measure: (bench: Bench) => Figures | Promise<Figures>;
  readonly expected: Readonly<Record<string, Bounds>>;
}

/** A line that a guest says. */
export type GuestMessage =
  | { readonly type: 'start'; readonly release: string }
  | { readonly type: 'case'; readonly id: string; readonly figures: Figures; readonly virtualMs: number }
  | { readonly type: 'failed'; readonly id: string; readonly error: string }
  | { readonly type: 'end' };

/**
 * Window of TCP whose goodput is judged to 1 %: the losses of slow start are over before it, and what a flow that has just lost a
 * packet holds back behind it, up to 20 ms of its rate, is small in it.
 */
export const STEADY = { warmMs: 1000, ms: 3000 } as const;

export const ALL_KERNELS: readonly KernelName[] = ['6.12', '6.1'];

/** `value`, more or less `share` of it. */
export function about(value: number, share: number): Bounds {
  return { min: value * (1 - share), max: value * (1 + share) };
}

export function atMost(max: number): Bounds {
  return { max };
}

export function atLeast(min: number): Bounds {
  return { min };
}

export const NONE: Bounds = { min: 0, max: 0 };

/** What of the expectation does not hold, for people; empty: all of it does. A figure that was not measured does not. */
export function judge({ expected }: Case, figures: Figures): string[] {
  return Object.entries(expected).flatMap(([name, { min = -Infinity, max = Infinity }]) => {
    const value = figures[name];
    if (value !== undefined && value >= min && value <= max) return [];
    return [`${name} is ${value ?? 'missing'}, expected ${boundsText({ min, max })}`];
  });
}

export function boundsText({ min = -Infinity, max = Infinity }: Bounds): string {
  if (min === max) return short(min);
  if (max === Infinity) return `>= ${short(min)}`;
  return min === -Infinity ? `<= ${short(max)}` : `${short(min)} to ${short(max)}`;
}

export function short(value: number): string {
  return String(Number(value.toPrecision(5)));
}
