import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Ajv from 'ajv';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { simulateOptions } from '../../cli/options/simulate.ts';
import { INPUT_PROBLEMS } from '../../scheduler/simulate/input-problems.ts';
import { simulateCli } from './simulate-cli.ts';

const schema = JSON.parse(readFileSync(new URL('../../docs/simulation.schema.json', import.meta.url), 'utf8')) as {
  readonly definitions: { readonly policy: { readonly enum: readonly string[] } };
  readonly properties: Readonly<Record<string, never>>;
};
const validate = new Ajv({ allErrors: true }).compile(schema);

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), `nlt${process.pid}-schema-`));
  const list = ['a', 'b'].map((name) => ({ namespace: 'n', name, requests: { milliCpu: 'much' } }));
  const nodes = [{ name: 'n1', allocatable: { milliCpu: 1000, memoryBytes: 1e9, pods: 9 } }];
  const snapshot = { netloom: 'snapshot', version: 1, nodes, pods: [...list, { name: 'c' }] };
  writeFileSync(join(folder, 'odd.json'), JSON.stringify(snapshot));
  writeFileSync(join(folder, 'order.json'), '["n/b"]');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function report(argv: readonly string[]): Promise<unknown> {
  const { code, out } = await simulateCli(folder, [...argv, '--plan-iterations', '100', '-o', 'json']);
  expect(code).toBe(0);
  return JSON.parse(out);
}

const MADE = ['--generate', 'nodes=4,seed=2', '--seeds', '2'];

describe('docs/simulation.schema.json', () => {
  it.each([
    ['policies compared', MADE],
    ['one policy', [...MADE, '--policy', 'netloom', '--link-mbps', '1000']],
    [
      'no zones, another order and routing',
      ['--generate', 'nodes=3,zones=0', '--order', 'churn', '--routing', 'same-node'],
    ],
    ['no traffic, and fields that cannot be used', ['--snapshot', 'odd.json']],
    ['a file of arrivals', ['--snapshot', 'odd.json', '--arrivals', 'order.json', '--policy', 'default']],
  ])('is what -o json gives: %s', async (_, argv) => {
    validate(await report(argv));
    expect(validate.errors ?? []).toEqual([]);
  });

  it('refuses what is not', async () => {
    const good = (await report([...MADE, '--policy', 'netloom'])) as Record<string, unknown>;
    for (const bad of [
      { ...good, mean: undefined },
      { ...good, policies: [] },
      { ...good, more: 1 },
      { ...good, policy: 'best' },
      { ...good, mean: { ...(good['mean'] as object), localShare: { node: 2, zone: 1, region: 1 } } },
    ]) {
      expect(validate(JSON.parse(JSON.stringify(bad)))).toBe(false);
    }
  });

  it('has the words of the command', () => {
    expect(schema.definitions.policy.enum).toEqual(simulateOptions.policy.values);
    const { problems, options } = schema.properties as unknown as {
      readonly problems: { readonly items: { readonly properties: { readonly problem: { readonly enum: string[] } } } };
      readonly options: { readonly properties: Readonly<Record<string, { readonly enum?: string[] }>> };
    };
    expect(problems.items.properties.problem.enum).toEqual(INPUT_PROBLEMS);
    expect(options.properties['order']!.enum).toEqual([...simulateOptions.order.values, 'file']);
    expect(options.properties['routing']!.enum).toEqual(simulateOptions.routing.values);
    expect(options.properties['defaultModel']!.enum).toEqual(simulateOptions.defaultModel.values);
  });
});
