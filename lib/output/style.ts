/** What colours say; nothing is said by colour alone. */
export type Role = 'heading' | 'dim' | 'good' | 'warning' | 'bad' | 'accent';

export type Paint = (role: Role, text: string) => string;

const CODES: Readonly<Record<Role, readonly [number, number]>> = {
  heading: [1, 22],
  dim: [2, 22],
  good: [32, 39],
  warning: [33, 39],
  bad: [31, 39],
  accent: [36, 39],
};

export const plainPaint: Paint = (_role, text) => text;

/**
 * Colours on a terminal only, and not where NO_COLOR is set (https://no-color.org) or TERM is dumb.
 * FORCE_COLOR asks for them elsewhere.
 */
export function paintFor(isTty: boolean, environment: Readonly<Record<string, string | undefined>>): Paint {
  const { NO_COLOR: no, FORCE_COLOR: force, TERM: term } = environment;
  if (no !== undefined && no !== '') return plainPaint;
  const forced = force !== undefined && force !== '' && force !== '0';
  if (!forced && (!isTty || term === 'dumb')) return plainPaint;
  return (role, text) => {
    const [on, off] = CODES[role];
    return text === '' ? '' : `\u001b[${String(on)}m${text}\u001b[${String(off)}m`;
  };
}
