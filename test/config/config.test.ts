import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { agentSection } from '../../cli/options/agent.ts';
import { SECTIONS } from '../../cli/options/index.ts';
import { schedulerSection } from '../../cli/options/scheduler.ts';
import { formatAddress, isLoopback, parseAddress } from '../../lib/config/address.ts';
import { parseConfigFile } from '../../lib/config/file.ts';
import { printConfig } from '../../lib/config/print.ts';
import {
  formatBitrateExact,
  formatBytesExact,
  formatDuration,
  parseBitrate,
  parseBytes,
  parseDuration,
} from '../../lib/config/quantities.ts';
import { resolveOptions, type Resolved } from '../../lib/config/resolve.ts';
import { environmentName, flagName, isConfigurable, type OptionSpecs } from '../../lib/config/types.ts';
import { defaultValue, rangeText } from '../../lib/config/value.ts';

const sections = Object.fromEntries(SECTIONS.map((section) => [section.name, section.options]));

async function resolve(given: {
  section?: string;
  yaml?: string;
  env?: Record<string, string>;
  flags?: Record<string, string | string[]>;
}): Promise<Resolved> {
  const section = given.section ?? 'agent';
  const specs: OptionSpecs = sections[section]!;
  return resolveOptions({
    section,
    specs,
    sections,
    file: given.yaml === undefined ? undefined : await parseConfigFile(given.yaml, 'c.yaml', '/etc', sections),
    environment: given.env ?? {},
    flags: Object.entries(given.flags ?? {}).flatMap(([key, texts]) =>
      [texts].flat().map((text) => ({ key, name: `--${flagName(key, specs[key]!)}`, text })),
    ),
    cwd: '/cwd',
  });
}

const told = (resolved: Resolved): string => resolved.problems.map((problem) => problem.describe()).join('\n');

describe('precedence', () => {
  it('is flags over environment over file over default, and every origin is known', async () => {
    const yaml = 'agent:\n  node: from-file\n  interval: 2s\n  scheduler: file:1\n  mapEntries: 2048\n';
    const env = { NETLOOM_AGENT_INTERVAL: '3s', NETLOOM_AGENT_SCHEDULER: 'env:2' };
    const { values, origins, problems } = await resolve({ yaml, env, flags: { scheduler: 'flag:3' } });
    expect(problems).toEqual([]);
    expect(values).toMatchObject({
      node: 'from-file',
      interval: 3000,
      scheduler: { host: 'flag', port: 3 },
      mapEntries: 2048,
      insecure: false,
      uplink: [],
      scope: undefined,
    });
    expect(origins.get('node')).toEqual({ kind: 'file', file: 'c.yaml', line: 2 });
    expect(origins.get('interval')).toEqual({ kind: 'environment', name: 'NETLOOM_AGENT_INTERVAL' });
    expect(origins.get('scheduler')).toEqual({ kind: 'flag', name: '--scheduler' });
    expect(origins.get('logLevel')).toEqual({ kind: 'default' });
  });

  it('lets an empty value take an optional one away, and refuses it elsewhere', async () => {
    const yaml = 'agent: { node: a, scope: x, metricsListen: ":9" }';
    const off = await resolve({ yaml, env: { NETLOOM_AGENT_SCOPE: '', NETLOOM_AGENT_METRICS_LISTEN: '' } });
    expect(off.problems).toEqual([]);
    expect(off.values).toMatchObject({ scope: undefined, metricsListen: undefined });
    expect(told(await resolve({ yaml, flags: { interval: '' } }))).toContain('found:    nothing');
  });

  it('takes relative paths of a file from its folder, others from the working folder', async () => {
    const yaml = 'agent: { node: a, scope: s.txt, tls: { ca: /abs/ca.pem } }';
    expect((await resolve({ yaml })).values).toMatchObject({ scope: '/etc/s.txt', 'tls.ca': '/abs/ca.pem' });
    expect((await resolve({ yaml, flags: { scope: 's.txt' } })).values['scope']).toBe('/cwd/s.txt');
  });

  it('collects repeated flags of lists, and takes the last of others', async () => {
    const { values } = await resolve({ flags: { node: ['a', 'b'], uplink: ['eth0,eth1', 'eth2'] } });
    expect(values).toMatchObject({ node: 'b', uplink: ['eth0', 'eth1', 'eth2'] });
  });

  it('keeps what a map does not name', async () => {
    const weights = { node: 1, zone: 0.5, region: 0.1 };
    const file = await resolve({ section: 'scheduler', yaml: 'scheduler: { levelWeights: { zone: 0.5 } }' });
    expect(file.values['levelWeights']).toEqual(weights);
    const flag = await resolve({ section: 'scheduler', flags: { levelWeights: ['zone=0.5'] } });
    expect(flag.values['levelWeights']).toEqual(weights);
  });

  it('tells what is required and where it can be given', async () => {
    expect(told(await resolve({}))).toMatch(/CONFIG_MISSING.*--node is required[^]*NETLOOM_AGENT_NODE[^]*agent.node/);
  });
});

describe('unknown names', () => {
  it.each([
    ['agent:\n  node: a\n  intervall: 1s\n', 'c.yaml:3 (agent.intervall)', 'did you mean "interval"?'],
    ['agent:\n  log-level: info\n', 'c.yaml:2', 'did you mean "logLevel"?'],
    ['agent:\n  tls:\n    sever_name: x\n', 'c.yaml:3 (agent.tls.sever_name)', 'did you mean "serverName"?'],
    ['agnet:\n  node: a\n', 'c.yaml:1', 'did you mean "agent"?'],
    ['interval: 1s\n', 'c.yaml:1', 'Put it below "agent:"'],
    ['agent:\n  <<: {}\n', 'c.yaml:2', 'Merge keys'],
    ['scheduler: { zzz: 1 }', 'c.yaml:1', 'valid here: listen, '],
    ['agent: { __proto__: 1 }', 'c.yaml:1', 'valid here'],
    ['constructor: 1', 'c.yaml:1', 'unknown section'],
  ])('%j are refused with place and nearest name', async (yaml, place, remedy) => {
    const text = told(await resolve({ yaml, flags: { node: 'a' } }));
    expect(text).toContain('CONFIG_UNKNOWN_KEY');
    expect(text).toContain(place);
    expect(text).toContain(remedy);
  });

  it('of variables are told, but not those that Kubernetes injects', async () => {
    const env = {
      NETLOOM_AGENT_INTERVALL: '1s',
      NETLOOM_AGENT_SERVICE_HOST: '10.0.0.1',
      NETLOOM_AGENT_PORT_9753_TCP_ADDR: '10.0.0.1',
      NETLOOM_AGENT_PORT: 'tcp://10.0.0.1:9753',
    };
    const { warnings, problems } = await resolve({ env, flags: { node: 'a' } });
    expect(problems).toEqual([]);
    expect(warnings).toEqual([expect.stringContaining('did you mean NETLOOM_AGENT_INTERVAL?')]);
  });
});

describe('bad values', () => {
  it.each([
    ['agent: { interval: 10 }', 'a duration with its unit (250ms, 10s, 1h30m) from 100ms to 5m', '"10"'],
    ['agent: { interval: 1ms }', 'from 100ms to 5m', '"1ms"'],
    ['agent: { interval: [1s] }', 'a duration', 'a list of 1'],
    ['agent: { interval: }', 'a duration', 'nothing'],
    ['agent: { mapEntries: 1.5 }', 'a whole number from 1024', '"1.5"'],
    ['agent: { mapEntries: .inf }', 'a whole number', '".inf"'],
    ['agent: { mapEntries: 99999999999999999999 }', 'a whole number', '"99999999999999999999"'],
    ['agent: { insecure: yes please }', 'true or false', '"yes please"'],
    ['agent: { scheduler: "10.0.0.1" }', 'host:port', '"10.0.0.1"'],
    ['agent: { scheduler: "a:99999" }', 'host:port', '"a:99999"'],
    ['agent: { scheduler: "a:0" }', 'host:port', '"a:0"'],
    ['agent: { logLevel: loud }', 'one of debug, info, warn, error, silent', '"loud"'],
    ['agent: { uplink: [[a]] }', 'a list', 'a list of 1'],
    ['agent: { uplink: { a: b } }', 'a list', 'a mapping with "a"'],
    ['agent: { uplinkSpeed: fast }', 'a bit rate', '"fast"'],
    ['agent: { node: "a\\nb" }', 'a name of lower-case letters', '"a\\nb"'],
    ['agent: { node: "Fe5 node" }', 'a name of lower-case letters', '"Fe5 node"'],
    ['agent: { node: -a }', 'a name of lower-case letters', '"-a"'],
    ['agent: { tls.serverName: "a\\nb" }', 'text on one line', '"a\\nb"'],
    ['agent: { enforce: yes }', 'true or false', '"yes"'],
    ['agent: { enforce: 1 }', 'true or false', '"1"'],
    ['agent: 5', 'a mapping (key: value)', 'a single value ("5")'],
    ['agent: { tls: x }', 'a mapping', 'a single value'],
    ['scheduler: { bodyLimit: 0.1Ki }', 'a size in bytes', '"0.1Ki"'],
    ['scheduler: { levelWeights: { node: 2 } }', 'from 0 to 1', 'a mapping'],
    ['scheduler: { levelWeights: { rack: 1 } }', 'numbers by name', 'rack in a mapping'],
    ['scheduler: { levelWeights: 1 }', 'numbers by name', '"1"'],
    ['scheduler: { scoreRange: 50 }', 'one of 80, 10', '"50"'],
  ])('%s says place, expected and found', async (yaml, expected, found) => {
    const text = told(await resolve({ yaml, flags: { node: 'a' } }));
    expect(text).toContain('c.yaml:1');
    expect(text).toContain(expected);
    expect(text).toContain(`found:    ${found}`);
  });

  it('are all told at once, also those of other sections', async () => {
    const { problems } = await resolve({
      yaml: 'agent: { interval: x, mapEntries: y }\nscheduler: { floor: z }\nlab: { nope: 1 }\n',
      env: { NETLOOM_AGENT_UPLINK_SPEED: 'w' },
      flags: { logFormat: 'v' },
    });
    expect(problems).toHaveLength(7);
  });

  it('keep the text of a scalar where text is wanted', async () => {
    for (const name of ['010', 'true', '1e3', '0x10', '1.10']) {
      expect((await resolve({ yaml: `agent: { node: ${name} }` })).values['node']).toBe(name);
    }
  });
});

describe('YAML traps', () => {
  it.each([
    ['a tab', 'agent:\n\tnode: a\n', 'spaces'],
    ['a duplicate', 'agent:\n  node: a\n  node: b\n', 'Keep one'],
    ['two documents', 'agent: {}\n---\nagent: {}\n', 'more than one YAML document'],
    ['a list as root', '- agent\n', 'mapping of sections'],
    ['a text as root', 'hello', 'mapping of sections'],
    ['a mapping as key', '? { a: 1 }\n: b\n', 'plain name'],
    ['an unclosed quote', 'agent: { node: "a\n', 'not valid YAML'],
    ['an unknown alias', 'agent: *nope\n', 'not valid YAML'],
  ])('%s is refused with its line', async (_name, yaml, remedy) => {
    const file = await parseConfigFile(yaml, 'c.yaml', '/', sections);
    const text = file.problems.map((problem) => problem.describe()).join('\n');
    expect(text).toMatch(/c\.yaml:\d/);
    expect(text).toContain(remedy);
  });

  it.each([
    '',
    '\n',
    '# nothing\n',
    '---\n',
    '~',
    'agent:\n',
    'agent: ~\nscheduler: {}\n',
    '\ufeffagent: {}\n',
    'agent: {}\r\n',
  ])('an empty file (%j) is an empty configuration', async (yaml) => {
    const file = await parseConfigFile(yaml, 'c.yaml', '/', sections);
    expect(file.problems).toEqual([]);
    expect(file.settings).toEqual([]);
  });

  it('an alias shares a mapping', async () => {
    const yaml = 'scheduler:\n  tls: &t { cert: c, key: k }\n  agentsTls: *t\n';
    const { values } = await resolve({ section: 'scheduler', yaml });
    expect(values['agentsTls.cert']).toBe('/etc/c');
  });

  it('an anchor bomb and a loop end early', async () => {
    const bomb = ['x0: &x0 [a,a,a,a,a,a,a,a,a]'];
    for (let i = 1; i < 12; i++)
      bomb.push(
        `x${i}: &x${i} [${Array(9)
          .fill(`*x${i - 1}`)
          .join(',')}]`,
      );
    const yaml = `agent:\n  uplink: ${'&b [*a, *a]'.replace('*a, *a', Array(500).fill('&z x, *z').join(', '))}\n`;
    for (const text of [
      `${bomb.join('\n')}\nagent: { uplink: *x11 }\n`,
      yaml,
      'agent: &a\n  uplink: *a\n',
      'agent: &a { tls: *a }\n',
    ]) {
      const file = await parseConfigFile(text, 'c.yaml', '/', sections);
      const resolved = await resolve({ yaml: text });
      expect(file.problems.length + resolved.problems.length).toBeGreaterThan(0);
    }
  });

  it('anything at all gives settings or problems, never a throw', async () => {
    const word = fc.constantFrom(
      'agent',
      'scheduler',
      'tls',
      'node',
      'interval',
      ':',
      ' ',
      '\n',
      '  ',
      '-',
      '{',
      '}',
      '[',
      ']',
      '&a',
      '*a',
      '"',
      "'",
      '|',
      '>',
      '1s',
      '~',
      '#',
      '\t',
      '<<',
      '!',
      '%',
      '?',
      ',',
      '\u0000',
      'é',
    );
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.string(),
          fc.array(word, { maxLength: 40 }).map((words) => words.join('')),
        ),
        async (yaml) => {
          const { problems } = await resolve({ yaml, flags: { node: 'a' } });
          for (const problem of problems) expect(problem.describe()).toMatch(/^CONFIG_/);
        },
      ),
      { numRuns: 1000 },
    );
  });
});

describe('--print-config', () => {
  it('reads back as the same values', async () => {
    const text = fc
      .oneof(
        fc.constantFrom('yes', 'null', '1e3', '0x1f', '~', '- a', 'a: b', '# c', '10s', '012', '"', "'", 'é'),
        fc.stringMatching(/^[ -~]{1,20}$/),
      )
      .map((s) => s.trim())
      .filter((s) => s !== '');
    await fc.assert(
      fc.asyncProperty(
        fc.stringMatching(/^[a-z0-9]([-a-z0-9]{0,9}[a-z0-9])?(\.[a-z0-9]{1,5})?$/),
        fc.integer({ min: 100, max: 300_000 }),
        fc.array(
          text.filter((s) => !s.includes(',')),
          { maxLength: 3 },
        ),
        fc.option(text),
        fc.boolean(),
        fc.integer({ min: 1000, max: 1e12 }),
        async (node, intervalMs, uplink, serverName, insecure, speed) => {
          const flags: Record<string, string | string[]> = {
            node,
            interval: formatDuration(intervalMs),
            insecure: String(insecure),
            uplinkSpeed: formatBitrateExact(speed),
            ...(uplink.length > 0 ? { uplink: uplink.join(',') } : {}),
            ...(serverName === null ? {} : { 'tls.serverName': serverName }),
          };
          const first = await resolve({ flags });
          expect(told(first)).toBe('');
          const yaml = printConfig('agent', agentSection.options, first.values, first.origins);
          const second = await resolve({ yaml });
          expect(told(second), yaml).toBe('');
          expect(second.values).toEqual(first.values);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('says where each value came from', async () => {
    const { values, origins } = await resolve({
      yaml: 'agent:\n  node: a\n  tls: { ca: x }\n',
      env: { NETLOOM_AGENT_INTERVAL: '2s' },
      flags: { logLevel: 'debug' },
    });
    const text = printConfig('agent', agentSection.options, values, origins);
    expect(text).toMatch(/^ {2}node: a +# c\.yaml:2$/m);
    expect(text).toMatch(/^ {2}interval: 2s +# NETLOOM_AGENT_INTERVAL$/m);
    expect(text).toMatch(/^ {2}logLevel: debug +# --log-level$/m);
    expect(text).toMatch(/^ {2}# scope: +# not set$/m);
    expect(text).toMatch(/^ {4}ca: \/etc\/x +# c\.yaml:3$/m);
  });

  it('of the scheduler with every default reads back', async () => {
    const first = await resolve({ section: 'scheduler' });
    const yaml = printConfig('scheduler', schedulerSection.options, first.values, first.origins);
    const second = await resolve({ section: 'scheduler', yaml });
    expect(told(second), yaml).toBe('');
    expect(second.values).toEqual(first.values);
  });
});

describe('notations', () => {
  it('read back what they print', () => {
    fc.assert(fc.property(fc.maxSafeNat(), (n) => parseDuration(formatDuration(n)) === n));
    fc.assert(fc.property(fc.maxSafeNat(), (n) => parseBytes(formatBytesExact(n)) === n));
    fc.assert(fc.property(fc.maxSafeNat(), (n) => parseBitrate(formatBitrateExact(n)) === n));
    for (const n of [0, 1024, 2 ** 26, 1e6, 1e9, 36e5]) {
      expect(parseBytes(formatBytesExact(n))).toBe(n);
      expect(parseBitrate(formatBitrateExact(n))).toBe(n);
      expect(parseDuration(formatDuration(n))).toBe(n);
    }
  });

  it('refuse what is ambiguous', () => {
    for (const text of ['10', '1 s', '1s1h', '1s1s', '-1s', 's', '1e3s', '', '1.s'])
      expect(parseDuration(text)).toBeUndefined();
    for (const text of ['1m', '-1', '1 Mi', '0.1', '1e3', 'Mi', '1MiB', '99999999Ti'])
      expect(parseBytes(text)).toBeUndefined();
    for (const text of ['1Mi', '1m', 'bit', '1.5']) expect(parseBitrate(text)).toBeUndefined();
    expect(parseBitrate('1.1G')).toBe(1_100_000_000);
    expect(parseBitrate('10Gbit/s')).toBe(10_000_000_000);
    expect(parseDuration('1h30m')).toBe(5_400_000);
  });

  it('of addresses read back, and slips are refused', () => {
    for (const text of ['a:1', '127.0.0.1:0', '[::1]:65535', '[fe80::1%eth0]:1', 'my-svc.ns.svc.:9753', '_x.y:1']) {
      expect(formatAddress(parseAddress(text)!)).toBe(text);
    }
    for (const host of ['localhost', '127.0.0.1', '127.1.2.3', '::1', '::ffff:127.0.0.1'])
      expect(isLoopback(host)).toBe(true);
    for (const host of ['::', '0.0.0.0', '10.0.0.1', '127.0.0.1.example', 'notlocalhost'])
      expect(isLoopback(host)).toBe(false);
    expect(parseAddress(':80')).toEqual({ host: '::', port: 80 });
    for (const text of [
      'a',
      'a:',
      'a:65536',
      '::1:80',
      '[a]:1',
      '10.0.0.256:1',
      '10.0.0:1',
      'a b:1',
      '-a:1',
      'http://a:1',
      'a..b:1',
      'a:-1',
      'a:1e3',
      '[::1]',
      '*:80',
    ]) {
      expect(parseAddress(text), text).toBeUndefined();
    }
  });
});

describe('declarations', () => {
  const all = SECTIONS.flatMap((section) =>
    Object.entries(section.options).map(([key, spec]) => ({ section: section.name, key, spec })),
  );

  it.each(all.map((option) => [`${option.section}.${option.key}`, option] as const))(
    '%s is well formed',
    (_name, { section, key, spec }) => {
      expect(key).toMatch(/^[a-z][A-Za-z]*(\.[a-z][A-Za-z]*)?$/);
      expect(spec.help).toMatch(/^[A-Z].*\.$/);
      expect(() => defaultValue(spec, '/')).not.toThrow();
      expect(rangeText(spec)).not.toContain('undefined');
      if (spec.required === true) expect(spec.default).toBeUndefined();
      // Kubernetes injects NAME_PORT... and NAME_SERVICE_... for a Service of that name.
      if (isConfigurable(spec))
        expect(environmentName(section, key)).not.toMatch(/^NETLOOM_[A-Z]+_(PORT|SERVICE)(_|$)/);
    },
  );

  it('have no two options of one flag or variable', () => {
    const names = all.flatMap(({ section, key, spec }) => [
      `${section} --${flagName(key, spec)}`,
      environmentName(section, key),
    ]);
    expect(new Set(names).size).toBe(names.length);
  });
});
