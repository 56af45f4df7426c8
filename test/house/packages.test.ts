import { readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { packageOf, reachableFrom, readSources, ROOT } from './sources.ts';

interface LockEntry {
  readonly version?: string;
  readonly hasInstallScript?: boolean;
  readonly optional?: boolean;
  readonly dev?: boolean;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

const readJson = (path: string): unknown => JSON.parse(readFileSync(join(ROOT, path), 'utf8'));
const lock = readJson('package-lock.json') as { packages: Readonly<Record<string, LockEntry>> };
const manifest = readJson('package.json') as {
  dependencies: Record<string, string>;
  devDependencies: Record<string, string>;
};
const sources = readSources();

/** Where Node would find `name` from the package at `from`. */
function resolveIn(from: string, name: string): string | undefined {
  for (let at = from; ; at = at.slice(0, Math.max(0, at.lastIndexOf('/node_modules/')))) {
    const path = `${at === '' ? '' : `${at}/`}node_modules/${name}`;
    if (lock.packages[path] !== undefined) return path;
    if (at === '') return undefined;
  }
}

/** Everything that `npm ci` installs for these packages; optional ones counted only where this machine gets them: one platform's worth. */
function treeOf(names: readonly string[]): Set<string> {
  const found = new Set<string>();
  const queue = names.map((name) => resolveIn('', name)).filter((path) => path !== undefined);
  for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
    if (found.has(path)) continue;
    found.add(path);
    const entry = lock.packages[path]!;
    for (const name of Object.keys({ ...entry.dependencies, ...entry.peerDependencies })) {
      const next = resolveIn(path, name);
      if (next !== undefined) queue.push(next);
    }
  }
  return found;
}

const agent = reachableFrom(sources, 'cli/commands/agent.ts', { dynamic: true, url: true });
const frame = reachableFrom(sources, 'cli/main.js', { dynamic: false, url: false });
const frameRun = reachableFrom(sources, 'cli/run.ts', { dynamic: false, url: false });
/** The library behind `--config`, whichever command. */
const configuration = reachableFrom(sources, 'lib/config/file.ts', { dynamic: true, url: false });
const bare = new Set(
  [agent, frame, frameRun, configuration]
    .flatMap((reach) => [...reach.outside.keys()])
    .map(packageOf)
    .filter((name) => name !== undefined),
);

describe('packages', () => {
  it('the agent needs fewer than 60 of them', () => {
    const tree = treeOf([...bare]);
    expect(tree.size, [...tree].join(' ')).toBeLessThan(60);
  });

  it('the agent imports no Kubernetes client, nor does what it is to use of ours', () => {
    expect([...bare].filter((name) => name.includes('kubernetes'))).toEqual([]);
    const own = [...sources.keys()].filter((path) => /^(lib\/kube|bandwidth\/pods)\//.test(path));
    expect(own.length).toBeGreaterThan(10);
    const reached = own.flatMap((path) => [
      ...reachableFrom(sources, path, { dynamic: true, url: true }).outside.keys(),
    ]);
    const packages = reached.map(packageOf).filter((name) => name !== undefined);
    expect([...new Set(packages)]).toEqual(['yaml']);
  });

  it('need no install script: `npm ci --ignore-scripts` is enough', () => {
    // koffi's script only builds where no prebuilt binary exists; fsevents is for macOS.
    const known = new Set(['koffi', 'fsevents', 'protobufjs']);
    const scripted = Object.entries(lock.packages)
      .filter(([, entry]) => entry.hasInstallScript === true && entry.optional !== true)
      .map(([path]) => path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length));
    expect(scripted.filter((name) => !known.has(name))).toEqual([]);
  });

  it('are declared where they are used: programs by dependencies, tests and tools by either', () => {
    const wrong: string[] = [];
    for (const source of sources.values()) {
      const tools = /^(test|bench|scripts)\//.test(source.path) || !source.path.includes('/');
      for (const item of source.imports) {
        const name = packageOf(item.specifier);
        if (name === undefined || item.url) continue;
        if (builtinModules.includes(name)) continue;
        const declared =
          name in manifest.dependencies ||
          ((tools || item.typeOnly) &&
            (name in manifest.devDependencies || `@types/${name}` in manifest.devDependencies));
        if (!declared) wrong.push(`${source.path}:${item.line} ${name}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  it('are pinned to one version each', () => {
    const loose = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies }).filter(
      ([, range]) => !/^\d/.test(range),
    );
    expect(loose).toEqual([]);
  });

  it('leave no registry in the lock files', () => {
    for (const file of ['package-lock.json', 'scripts/node24/package-lock.json']) {
      const text = readFileSync(join(ROOT, file), 'utf8');
      const hosts = [...text.matchAll(/"resolved": "(https?:\/\/[^/"]+)/g)].map((match) => match[1]);
      expect([...new Set(hosts)].filter((host) => host !== 'https://registry.npmjs.org')).toEqual([]);
    }
  });
});
