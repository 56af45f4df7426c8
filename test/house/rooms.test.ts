import { existsSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import { chain, packageOf, reachableFrom, readSources, ROOT, targetOf, type Source } from './sources.ts';

const sources = readSources();

/** What each room may import, besides itself. Types count too: a room must be understandable without the others. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  lib: [],
  proto: ['lib'],
  collector: ['lib', 'proto'],
  bandwidth: ['lib'],
  scheduler: ['lib', 'proto'],
  lab: ['lib', 'proto', 'collector', 'scheduler'],
  demo: ['lib', 'proto', 'collector', 'bandwidth', 'scheduler', 'lab', 'cli'],
  cli: ['lib', 'proto', 'collector', 'bandwidth', 'scheduler', 'lab', 'demo'],
};

/** Starts the control plane as the tests do. Reached by no command: a checkout without tests has all of them. */
const SHOW_OF_CONTROL_PLANE = 'demo/cluster/';

/** Folders whose modules take data and a time and return values. */
const PURE_FOLDERS = [
  'bandwidth/interfaces/',
  'bandwidth/qdiscs/',
  'scheduler/graph/',
  'scheduler/placement/',
  'scheduler/plan/',
  'scheduler/cluster/',
  'proto/',
  'lib/config/',
  'lib/json/',
  'lib/output/',
];
const PURE_FILES = [
  'lib/by-text.ts',
  'lib/shuffle.ts',
  'lib/ip.ts',
  'lib/quantity.ts',
  'lib/nearest.ts',
  'lib/errors.ts',
  'lib/error-codes.ts',
  'lib/log-value.ts',
  'lib/tally.ts',
  'lib/files/wrong-form.ts',
  'lib/kube/api-refusal.ts',
  'lib/kube/collection.ts',
  'lib/kube/credentials.ts',
  'lib/kube/kubeconfig.ts',
  'lib/kube/list-objects.ts',
  'lib/kube/service-account.ts',
  'bandwidth/pods/pod.ts',
  'lib/netlink/attributes.ts',
  'lib/netlink/message.ts',
  'lib/netlink/qdisc-options.ts',
  'lib/netlink/rate.ts',
  'lib/netlink/tc-message.ts',
  'lib/netlink/tc-stats.ts',
  'lib/netlink/types.ts',
];

/** The modules of those folders that do touch the world, and why. Pure modules must not import them either. */
const EDGES: Readonly<Record<string, string>> = {
  'bandwidth/interfaces/read.ts': 'reads the network of the node',
  'bandwidth/qdiscs/apply.ts': 'reads and changes the qdiscs of the node',
  'lib/config/read.ts': 'reads the configuration file',
  'lib/config/index.ts': 'front door of the folder, also to read.ts',
  'scheduler/graph/graph-sink.ts': 'saves and tidies by timers',
  'scheduler/cluster/traffic-file.ts': 'reads the traffic file',
  'scheduler/cluster/snapshot-file.ts': 'reads the snapshot',
  'scheduler/cluster/traffic-source.ts': 'watches the traffic file',
  'scheduler/cluster/snapshot-source.ts': 'watches the snapshot',
  'scheduler/cluster/delivery.ts': 'lets the event loop turn between changes',
};

/** Built-ins without IO, clock or randomness. */
const HARMLESS_BUILTINS = new Set(['node:path', 'node:util', 'node:buffer', 'node:assert', 'node:string_decoder']);
/** Packages that only compute. */
const HARMLESS_PACKAGES = new Set(['graphology', 'graphology-types', 'protobufjs', 'yaml', 'long']);

function roomOf(path: string): string {
  return path.includes('/') ? path.slice(0, path.indexOf('/')) : '';
}

function inPureFolder(path: string): boolean {
  return PURE_FOLDERS.some((folder) => path.startsWith(folder)) || PURE_FILES.includes(path);
}

function isPure(path: string): boolean {
  return inPureFolder(path) && !Object.hasOwn(EDGES, path);
}

const pureSources = [...sources.values()].filter((source) => isPure(source.path));

describe('rooms', () => {
  it.each(Object.keys(MAY_IMPORT))('%s imports only the rooms it may', (room) => {
    const wrong: string[] = [];
    for (const source of sources.values()) {
      if (roomOf(source.path) !== room) continue;
      for (const { specifier, line, url } of source.imports) {
        if (url && !specifier.endsWith('.ts')) continue;
        const target = targetOf(source, specifier);
        const other = target === undefined ? room : roomOf(target);
        const ofTests =
          source.path.startsWith(SHOW_OF_CONTROL_PLANE) && target?.startsWith('test/control-plane/') === true;
        const allowed = ofTests || other === room || other === '' || MAY_IMPORT[room]!.includes(other);
        if (!allowed) wrong.push(`${source.path}:${line} imports ${specifier}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  it('import files that exist, with their ending', () => {
    const wrong: string[] = [];
    for (const source of sources.values()) {
      for (const { specifier, line, url } of source.imports) {
        const target = targetOf(source, specifier);
        if (target !== undefined && !url && !existsSync(join(ROOT, target)))
          wrong.push(`${source.path}:${line} ${specifier}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  it('name every built-in with node:, so that no package can stand in for it', () => {
    const builtin =
      /^(assert|buffer|child_process|crypto|dns|events|fs|http|https|net|os|path|process|stream|timers|tls|url|util|worker_threads|zlib)(\/|$)/;
    const wrong = [...sources.values()].flatMap((source) =>
      source.imports
        .filter(({ specifier }) => builtin.test(specifier))
        .map(({ specifier, line }) => `${source.path}:${line} ${specifier}`),
    );
    expect(wrong).toEqual([]);
  });

  it('the agent never loads the scheduler, nor the scheduler the agent', () => {
    for (const [command, foreign] of [
      ['agent', ['scheduler', 'lab', 'demo', 'test', 'bench']],
      ['scheduler', ['collector', 'bandwidth', 'lab', 'demo', 'test', 'bench']],
    ] as const) {
      const reach = reachableFrom(sources, `cli/commands/${command}.ts`, { dynamic: true, url: true });
      const wrong = [...reach.files].filter((path) => (foreign as readonly string[]).includes(roomOf(path)));
      expect(wrong.map((path) => chain(reach, path))).toEqual([]);
    }
  });

  it('listing the commands loads none of the rooms', () => {
    const commands = [...sources.keys()].filter((path) => path.startsWith('cli/commands/'));
    for (const start of ['cli/run.ts', ...commands]) {
      const reach = reachableFrom(sources, start, { dynamic: false, url: false });
      const foreign = [...reach.files].filter((path) => !['cli', 'lib', ''].includes(roomOf(path)));
      expect(foreign.map((path) => chain(reach, path))).toEqual([]);
      expect([...reach.outside.keys()].filter((specifier) => packageOf(specifier) !== undefined)).toEqual([]);
    }
  });
});

describe('pure modules', () => {
  it('are there', () => {
    expect(pureSources.length).toBeGreaterThan(10);
    for (const path of Object.keys(EDGES)) expect(sources.has(path), `${path} of EDGES exists`).toBe(true);
    for (const path of PURE_FILES) expect(sources.has(path), `${path} of PURE_FILES exists`).toBe(true);
  });

  it.each(pureSources.map((source) => source.path))('%s reaches no IO at run time', (path) => {
    const reach = reachableFrom(sources, path, { dynamic: true, url: true });
    const edges = [...reach.files].filter((file) => file !== path && Object.hasOwn(EDGES, file));
    const io = [...reach.outside].filter(([specifier]) => {
      const name = packageOf(specifier);
      return name === undefined ? !HARMLESS_BUILTINS.has(specifier) : !HARMLESS_PACKAGES.has(name);
    });
    expect([
      ...edges.map((file) => chain(reach, file)),
      ...io.map(([specifier, file]) => `${specifier} <- ${chain(reach, file)}`),
    ]).toEqual([]);
  });

  it.each(pureSources.map((source) => source.path))('%s has no clock, randomness, timer or output', (path) => {
    expect(impurities(sources.get(path)!)).toEqual([]);
  });
});

describe('impurities', () => {
  it('are found', () => {
    const text =
      'const a = Date.now(); new Date(); console.log(Math.random(), process.env); setTimeout(f); performance.now()';
    const tree = ts.createSourceFile('x.ts', text, ts.ScriptTarget.Latest, true);
    expect(impurities({ path: 'x.ts', text, tree, imports: [] })).toHaveLength(7);
    const fine = 'new Date(nowMs); obj.console; const x = { process: 1 }; type T = typeof process';
    const fineTree = ts.createSourceFile('x.ts', fine, ts.ScriptTarget.Latest, true);
    expect(impurities({ path: 'x.ts', text: fine, tree: fineTree, imports: [] })).toEqual([]);
  });
});

/** Places where a module looks at the world by a global. */
function impurities(source: Source): string[] {
  const found: string[] = [];
  const GLOBALS = new Set(['console', 'process', 'performance', 'fetch', 'crypto']);
  const TIMERS = new Set(['setTimeout', 'setInterval', 'setImmediate', 'queueMicrotask']);
  const visit = (node: ts.Node): void => {
    if (ts.isTypeNode(node)) return;
    if (ts.isPropertyAccessExpression(node) && ts.isIdentifier(node.expression)) {
      const name = `${node.expression.text}.${node.name.text}`;
      if (GLOBALS.has(node.expression.text) || name === 'Date.now' || name === 'Math.random') report(node, name);
    } else if (
      ts.isNewExpression(node) &&
      node.expression.getText(source.tree) === 'Date' &&
      (node.arguments?.length ?? 0) === 0
    ) {
      report(node, 'new Date()');
    } else if (ts.isCallExpression(node) && ts.isIdentifier(node.expression) && TIMERS.has(node.expression.text)) {
      report(node, node.expression.text);
    }
    ts.forEachChild(node, visit);
  };
  const report = (node: ts.Node, what: string): void => {
    const { line } = source.tree.getLineAndCharacterOfPosition(node.getStart(source.tree));
    found.push(`${source.path}:${line + 1} ${what}`);
  };
  visit(source.tree);
  return found;
}
