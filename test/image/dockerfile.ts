/** The instructions of the Dockerfile, as far as it uses them: no heredocs, no ADD. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../house/sources.ts';

export interface Copy {
  /** Stage that it is taken from; undefined: the build context. */
  readonly from: string | undefined;
  readonly sources: readonly string[];
  readonly target: string;
}

export interface Stage {
  readonly name: string;
  readonly copies: readonly Copy[];
  readonly runs: readonly string[];
  readonly others: readonly string[];
}

export function readDockerfile(): readonly Stage[] {
  const lines = readFileSync(join(ROOT, 'Dockerfile'), 'utf8')
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .join('\n')
    .replaceAll('\\\n', ' ')
    .split('\n')
    .filter((line) => line.trim() !== '');
  const stages: { name: string; copies: Copy[]; runs: string[]; others: string[] }[] = [];
  for (const line of lines) {
    const [, instruction, rest] = /^([A-Z]+) +(.*)$/.exec(line.trim())!;
    if (instruction === 'FROM') {
      stages.push({ name: / AS (\S+)$/.exec(rest!)?.[1] ?? '', copies: [], runs: [], others: [] });
      continue;
    }
    const stage = stages.at(-1);
    if (instruction === 'COPY') {
      const words = rest!.split(/\s+/);
      const from = words[0]!.startsWith('--from=') ? words.shift()!.slice('--from='.length) : undefined;
      stage!.copies.push({ from, sources: words.slice(0, -1), target: words.at(-1)! });
    } else if (instruction === 'RUN') stage!.runs.push(rest!.replace(/\s+/g, ' '));
    else stage?.others.push(`${instruction} ${rest}`);
  }
  return stages;
}
