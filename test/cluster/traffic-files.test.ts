import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { NetloomError } from '../../lib/errors.ts';
import { changesBetween } from '../../scheduler/cluster/changes.ts';
import { CsvParser, csvLine, type CsvRow } from '../../scheduler/cluster/csv.ts';
import { readSnapshot } from '../../scheduler/cluster/snapshot-file.ts';
import { ClusterState } from '../../scheduler/cluster/state.ts';
import { readTraffic } from '../../scheduler/cluster/traffic-file.ts';
import { resolveTraffic, TRAFFIC_COLUMNS, TRAFFIC_HEADER } from '../../scheduler/cluster/traffic.ts';
import { clusterFile, podName } from '../support/cluster-file.ts';

const ROW = 'shop,Deployment,web,shop,Deployment,db,1,2';
const GOOD = `${TRAFFIC_HEADER}\n${ROW}\n`;
const rates = (out: string, back = '0') => `${TRAFFIC_HEADER}\nshop,Deployment,web,shop,Deployment,db,${out},${back}\n`;
const peer = (kind: string, name: string, namespace = '') =>
  `${TRAFFIC_HEADER}\nshop,Deployment,web,${namespace},${kind},${name},1,2\n`;

let dir: string;
let state: ClusterState;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'netloom-traffic-'));
  const cluster = clusterFile({
    namespace: 'shop',
    nodes: [{ name: 'alpha', zone: 'east' }],
    workloads: ['web', 'db'].map((name, i) => ({
      name,
      pods: [{ suffix: 'aaaaa', node: 'alpha', address: `10.1.0.${i + 1}` }],
    })),
  });
  state = new ClusterState();
  state.apply([...changesBetween(new Map(), (await readSnapshot(await write('cluster.json', cluster))).records)]);
});
afterAll(() => rm(dir, { recursive: true, force: true }));

async function write(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(dir, name);
  await writeFile(path, content);
  return path;
}

const edgesOf = async (content: string | Uint8Array) =>
  resolveTraffic(await readTraffic(await write('t.csv', content)), state);

describe('a traffic file that cannot be used is refused with its line, what was found, and a remedy:', () => {
  const HEADER = /Begin the file with: namespace,/;
  const DOCS = /docs\/traffic-format.md/;
  it.each<[what: string, content: string | Uint8Array, code: string, place: RegExp, found: RegExp, remedy: RegExp]>([
    ['nothing', '', 'TRAFFIC_HEADER', /x$/, /no line/, HEADER],
    ['no header', `${ROW}\n`, 'TRAFFIC_HEADER', /x:1$/, /shop.*column 1 should be namespace/, HEADER],
    [
      'columns in another order',
      swapped(),
      'TRAFFIC_HEADER',
      /x:1$/,
      /column 7 should be bytes_per_second_out/,
      HEADER,
    ],
    ['a column too few', GOOD.replace(',bytes_per_second_in', ''), 'TRAFFIC_HEADER', /x:1$/, /7 columns/, HEADER],
    ['a column too many', GOOD.replace('_in', '_in,note'), 'TRAFFIC_HEADER', /x:1$/, /9 columns/, HEADER],
    ['capitals', GOOD.replace('namespace', 'Namespace'), 'TRAFFIC_HEADER', /x:1$/, /column 1/, HEADER],
    ['semicolons', GOOD.replaceAll(',', ';'), 'TRAFFIC_HEADER', /x:1$/, /namespace;/, /commas, not semicolons/],
    ['UTF-16 of PowerShell', `\ufeff${GOOD}`, 'TRAFFIC_HEADER', /x$/, /UTF-16/, /Out-File -Encoding utf8/],
    ['UTF-16 without a mark', GOOD, 'TRAFFIC_HEADER', /x$/, /UTF-16/, /Out-File -Encoding utf8/],
    ['JSON', '{"kind":"List"}', 'TRAFFIC_HEADER', /x:1$/, /quote/, HEADER],
    ['a row too short', `${GOOD}shop,web\n`, 'TRAFFIC_ROW', /x:3$/, /^2$/, DOCS],
    ['a row too long', `${GOOD}${ROW},note\n`, 'TRAFFIC_ROW', /x:3$/, /^9$/, DOCS],
    ['a negative rate', rates('-1'), 'TRAFFIC_ROW', /x:2, column bytes_per_second_out/, /"-1"/, DOCS],
    ['NaN', rates('1', 'NaN'), 'TRAFFIC_ROW', /x:2, column bytes_per_second_in/, /"NaN"/, DOCS],
    ['infinity', rates('Infinity'), 'TRAFFIC_ROW', /x:2/, /"Infinity"/, DOCS],
    ['1e400', rates('1e400'), 'TRAFFIC_ROW', /x:2/, /"1e400"/, DOCS],
    ['more than any network has', rates('1.1e12'), 'TRAFFIC_ROW', /x:2/, /"1.1e12"/, DOCS],
    ['a unit', rates('1MB'), 'TRAFFIC_ROW', /x:2/, /"1MB"/, DOCS],
    ['a hexadecimal', rates('0x10'), 'TRAFFIC_ROW', /x:2/, /"0x10"/, DOCS],
    ['no rate', rates(''), 'TRAFFIC_ROW', /x:2/, /""/, DOCS],
    ['a decimal comma', rates('"1,5"'), 'TRAFFIC_ROW', /x:2/, /"1,5"/, DOCS],
    ['External of no CIDR', peer('External', 'db.example'), 'TRAFFIC_ROW', /x:2, column peer$/, /"db.example"/, DOCS],
    ['External of too long a prefix', peer('External', '10.0.0.0/33'), 'TRAFFIC_ROW', /x:2/, /\/33/, DOCS],
    ['External with leading zeros', peer('External', '010.0.0.0/8'), 'TRAFFIC_ROW', /x:2/, /010/, DOCS],
    ['a workload without namespace', peer('Deployment', 'db'), 'TRAFFIC_ROW', /x:2/, /nothing/, DOCS],
    ['a workload without name', peer('Deployment', '', 'shop'), 'TRAFFIC_ROW', /x:2/, /nothing/, DOCS],
    ['a workload without kind', peer('', 'db', 'shop'), 'TRAFFIC_ROW', /x:2/, /nothing/, DOCS],
    ['a quote that is not closed', `${GOOD}"shop,Deployment\n${ROW}\n`, 'TRAFFIC_ROW', /x:3$/, /not closed/, DOCS],
    ['text behind a quote', `${GOOD}"shop"x,Deployment\n`, 'TRAFFIC_ROW', /x:3$/, /follows a closing quote/, DOCS],
    ['a line break in a name', `${GOOD}"sh\nop"${ROW.slice(4)}\n`, 'TRAFFIC_ROW', /x:3, column namespace/, /sh/, DOCS],
    ['a zero byte', `${GOOD}sh\0op${ROW.slice(4)}\n`, 'TRAFFIC_ROW', /x:3, column namespace/, /u0000/, DOCS],
    ['lines of old Macs', GOOD.replaceAll('\n', '\r'), 'TRAFFIC_HEADER', /x:1$/, /carriage return/, HEADER],
    ['an endless line', `${GOOD}${'x'.repeat(1e6)}`, 'TRAFFIC_ROW', /x:3$/, /longer than 65536/, DOCS],
    ['truncated gzip', gzipSync(GOOD).subarray(0, -5), 'TRAFFIC_UNREADABLE', /x$/, /unexpected end/, /Compress/],
  ])('%s', async (what, content, code, place, found, remedy) => {
    const path = await write('x', what.startsWith('UTF-16') ? Buffer.from(content as string, 'utf16le') : content);
    const error: unknown = await readTraffic(path).catch((refused: unknown) => refused);
    expect(error).toBeInstanceOf(NetloomError);
    const { details, remedy: told, code: is } = error as NetloomError;
    expect(is).toBe(code);
    expect(details.place).toContain(path);
    expect(details.place).toMatch(place);
    expect(details.found).toMatch(found);
    expect(told).toMatch(remedy);
  });

  it('a directory, a pipe that nobody writes to, a path that is not there', async () => {
    const pipe = join(dir, 'pipe');
    execFileSync('mkfifo', [pipe]);
    for (const [path, found] of [
      [dir, 'a directory'],
      [pipe, 'a named pipe'],
      [join(dir, 'none'), 'no such file or folder'],
    ] as const) {
      await expect(readTraffic(path)).rejects.toMatchObject({
        code: 'TRAFFIC_UNREADABLE',
        details: { place: path, found },
      });
    }
  });
});

function swapped(): string {
  const [a, b] = TRAFFIC_COLUMNS.slice(6);
  return GOOD.replace(`${a},${b}`, `${b},${a}`);
}

describe('a traffic file is used where it can be:', () => {
  const EDGE = {
    client: { namespace: 'shop', kind: 'Deployment', name: 'web' },
    server: { namespace: 'shop', kind: 'Deployment', name: 'db' },
    bytesPerSecondOut: 1,
    bytesPerSecondIn: 2,
  };

  it.each([
    ['a UTF-8 byte order mark and CRLF, as Excel writes', `\ufeff${GOOD.replaceAll('\n', '\r\n')}`],
    ['quotes everywhere', GOOD.replaceAll(/[^,\n]+/g, '"$&"')],
    ['no line break at the end', GOOD.trimEnd()],
    ['blank lines and spaces', `${TRAFFIC_HEADER}\n\n  \n ${ROW.replaceAll(',', ' , ')} \n\n`],
    ['gzip', gzipSync(GOOD)],
    ['short kinds in any case', GOOD.replaceAll('Deployment', 'DEPLOY')],
    [
      'a ReplicaSet and a pod of it',
      `${TRAFFIC_HEADER}\nshop,rs,web-6f9cbd7f5d,shop,po,${podName('db', 'aaaaa')},1,2\n`,
    ],
    ['rows of one pair, which add up', `${rates('0.25', '1.5')}${rates('7.5e-1', '.5').split('\n')[1]}\n`],
  ])('%s', async (_, content) => {
    expect(await edgesOf(content)).toMatchObject({ edges: [EDGE], unknown: { count: 0 } });
  });

  it('prefixes and addresses of both families, as one spelling each', async () => {
    const names = ['203.0.113.77/24', '203.0.113.7', '2001:DB8::1/32', '::1', '::ffff:192.0.2.1', '0.0.0.0/0', '::/0'];
    const { edges } = await edgesOf(
      TRAFFIC_HEADER +
        names
          .map((name) => peer('External', name).split('\n')[1])
          .map((row) => `\n${row}`)
          .join(''),
    );
    expect(edges.map(({ server }) => server.name)).toEqual([
      '203.0.113.0/24',
      '203.0.113.7/32',
      '2001:db8::/32',
      '::1/128',
      '192.0.2.1/32',
      '0.0.0.0/0',
      '::/0',
    ]);
  });

  it('rows of names that are not there are counted, and named with their lines', async () => {
    const rows = Array.from({ length: 25 }, (_, i) => `shop,Deployment,web,shop,Deployment,gone-${i},1,2`);
    const { edges, unknown } = await edgesOf(`${GOOD}${rows.join('\n')}\nshop,Deployment,web,,Node,nowhere,1,1\n`);
    expect(edges).toMatchObject([EDGE]);
    expect(unknown.count).toBe(26);
    expect(unknown.samples).toHaveLength(10);
    expect(unknown.samples[1]).toBe('line 4: shop/Deployment/gone-1 is not in the cluster');
  });
});

describe('CSV', () => {
  it('reads what it writes, wherever the text is cut', () => {
    const field = fc.string({ unit: fc.constantFrom(...'ab,"\r\n ü🌍') });
    fc.assert(
      fc.property(fc.array(fc.array(field, { minLength: 2 })), fc.array(fc.nat()), (rows, cuts) => {
        const text = rows.map(csvLine).join('');
        const read: CsvRow[] = [];
        const parser = new CsvParser((row) => read.push(row));
        const at = [0, ...cuts.map((cut) => cut % (text.length + 1)), text.length].sort((a, b) => a - b);
        for (const [i, end] of at.slice(1).entries()) parser.write(text.slice(at[i], end));
        parser.end();
        expect(read.map(({ fields }) => fields)).toEqual(rows);
      }),
    );
  });
});
