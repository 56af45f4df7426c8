import { describe, expect, it } from 'vitest';
import { COMMANDS, loadCommands } from '../../cli/commands/index.ts';
import { commandHelp, overviewHelp } from '../../cli/help.ts';
import { specsOf } from '../../cli/run.ts';
import { flagName } from '../../lib/config/types.ts';
import { editDistance, nearestName } from '../../lib/nearest.ts';

describe('help', () => {
  it('of the program names every command, in 80 columns', async () => {
    const text = overviewHelp(await loadCommands());
    for (const { name } of COMMANDS) expect(text).toMatch(new RegExp(`^  ${name} +[a-z]`, 'm'));
    expect(text.split('\n').filter((line) => line.length > 80)).toEqual([]);
  });

  it.each(COMMANDS.map((entry) => [entry.name, entry] as const))(
    'of %s is complete and 80 columns wide',
    async (_name, entry) => {
      const command = await entry.load();
      expect(command.name).toBe(entry.name);
      expect(command.summary).toMatch(/^[a-z].*[^.]$/);
      const specs = specsOf(command);
      const text = commandHelp(command, specs);
      expect(text.split('\n').filter((line) => line.length > 80)).toEqual([]);
      for (const [key, spec] of Object.entries(specs)) expect(text).toContain(`--${flagName(key, spec)}`);
      expect(command.examples.length).toBeGreaterThan(0);
      for (const example of command.examples) expect(text).toContain(example.command);
      const flags = Object.entries(specs).map(([key, spec]) => flagName(key, spec));
      expect(new Set(flags).size).toBe(flags.length);
      const shorts = Object.values(specs).flatMap((spec) => spec.short ?? []);
      expect(new Set(shorts).size).toBe(shorts.length);
    },
  );
});

describe('the nearest name', () => {
  it('is found over slips, case, dashes and beginnings, and not where nothing is near', () => {
    const names = ['interval', 'logLevel', 'logFormat', 'scheduler'];
    expect(nearestName('intervla', names)).toBe('interval');
    expect(nearestName('log_level', names)).toBe('logLevel');
    expect(nearestName('sched', names)).toBe('scheduler');
    expect(nearestName('log', names)).toBeUndefined();
    expect(nearestName('zzz', names)).toBeUndefined();
    expect(nearestName('', names)).toBeUndefined();
    expect(editDistance('ab', 'ba')).toBe(1);
    expect(editDistance('', 'abc')).toBe(3);
  });
});
