import { describe, expect, it } from 'vitest';
import { NetloomError } from '../../lib/errors.ts';
import { createLogger, createLogLimiter, silentLogger, type LoggerOptions } from '../../lib/log.ts';

function capture(options: Partial<LoggerOptions> = {}) {
  const lines: string[] = [];
  const logger = createLogger({
    level: 'info',
    now: () => 0,
    stream: { write: (text: string) => lines.push(text) },
    ...options,
  });
  return { lines, logger };
}

describe('text lines', () => {
  it('are time, level, message and key=value', () => {
    const { lines, logger } = capture();
    logger.info('agent connected', { node: 'a', edges: 3, ok: true });
    expect(lines).toEqual(['1970-01-01T00:00:00.000Z INFO  agent connected node=a edges=3 ok=true\n']);
  });

  it('quote what would be read as something else', () => {
    const { lines, logger } = capture();
    logger.warn('m', { a: 'x y', b: '', c: 'k=v', d: { e: [1] }, 'od d': 1 });
    expect(lines[0]).toContain('a="x y" b="" c="k=v" d={"e":[1]} "od d"=1\n');
  });

  it('stay one line whatever a peer sends, and never carry terminal controls', () => {
    for (const format of ['text', 'json'] as const) {
      const { lines, logger } = capture({ format });
      const evil = 'x\n1970 ERROR forged\r\t\u001b[2J\u2028\u202e\u0085\u0000';
      logger.error(evil, { [evil]: evil, nested: { [evil]: [evil] } });
      expect(lines).toHaveLength(1);
      expect(lines[0]!.slice(0, -1)).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028-\u202e]/);
    }
  });

  it('bound their length', () => {
    const { lines, logger } = capture();
    logger.info('x'.repeat(1e6), { y: 'y'.repeat(1e6), z: Array.from({ length: 1e5 }, (_, i) => i) });
    expect(lines[0]!.length).toBeLessThan(10_000);
    expect(lines[0]).toContain('998000 more characters');
  });
});

describe('json lines', () => {
  it('are one object each, and fields cannot overwrite the line', () => {
    const { lines, logger } = capture({ format: 'json' });
    logger.child({ node: 'a' }).info('hello', { level: 'fake', n: 1, __proto__x: 2 });
    expect(JSON.parse(lines[0]!)).toEqual({
      time: '1970-01-01T00:00:00.000Z',
      level: 'info',
      msg: 'hello',
      node: 'a',
      field_level: 'fake',
      n: 1,
      __proto__x: 2,
    });
  });
});

describe('any logger', () => {
  it('writes nothing below its level', () => {
    const { lines, logger } = capture({ level: 'warn' });
    logger.debug('no');
    logger.info('no');
    logger.child({}).info('no');
    logger.warn('yes');
    expect(lines).toHaveLength(1);
    silentLogger.child({ a: 1 }).error('no');
  });

  it('keeps secrets out, by name and by look', () => {
    const { lines, logger } = capture();
    logger.info('sent Authorization: Bearer abcdefghijklmnop', {
      password: 'hunter2',
      nested: { apiKey: 'hunter2', list: [{ clientSecret: 'hunter2' }] },
      pem: '-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----',
      url: 'https://me:hunter2@example.com/',
    });
    expect(lines[0]).not.toContain('hunter2');
    expect(lines[0]).not.toContain('abcdefghijklmnop');
    expect(lines[0]).toContain('example.com');
  });

  it('tells errors with code and causes, and their stack only at debug', () => {
    const error = new NetloomError('CONFIG_INVALID', 'bad', { cause: new Error('deeper') });
    const info = capture();
    info.logger.error('failed', { error });
    expect(info.lines[0]).toContain(
      'error="CONFIG_INVALID: bad. Correct the value; `netloom COMMAND --help` lists the valid ones. <- deeper"',
    );
    const debug = capture({ level: 'debug' });
    debug.logger.error('failed', { error });
    expect(debug.lines[0]).toContain('log.test.ts');
    const slip = capture();
    slip.logger.error('failed', error);
    expect(slip.lines[0]).toContain('CONFIG_INVALID: bad');
  });

  it('never throws: cycles, getters, closed streams, odd values', () => {
    const { lines, logger } = capture();
    const cycle: Record<string, unknown> = {};
    cycle['self'] = cycle;
    const bad = {
      get x(): never {
        throw new Error('no');
      },
    };
    logger.info('odd', {
      cycle,
      bad,
      big: 10n,
      nan: NaN,
      fn: () => 1,
      nul: null,
      buf: new Uint8Array(3),
      m: new Map([[1, 2]]),
    });
    logger.info('bad fields', bad);
    expect(lines).toHaveLength(2);
    expect(lines[0]).toContain('big=10 nan=NaN');
    const closed = capture({
      stream: {
        write() {
          throw new Error('EPIPE');
        },
      },
    });
    closed.logger.info('lost');
  });
});

describe('a limiter', () => {
  it('writes once per key and period, and tells what it held back', () => {
    const { lines, logger } = capture();
    let nowMs = 0;
    const limit = createLogLimiter(logger, () => nowMs);
    for (let i = 0; i < 5; i++) limit.everyMs('a', 1000).warn('bad row', { i });
    limit.everyMs('b', 1000).child({ peer: 'p' }).warn('other');
    expect(lines).toHaveLength(2);
    nowMs = 1000;
    limit.everyMs('a', 1000).warn('bad row');
    expect(lines[2]).toContain('bad row suppressed=4');
  });

  it('survives a clock that is set back', () => {
    const { lines, logger } = capture();
    let nowMs = 1e6;
    const limit = createLogLimiter(logger, () => nowMs);
    limit.everyMs('a', 1000).warn('x');
    nowMs = 0;
    limit.everyMs('a', 1000).warn('x');
    expect(lines).toHaveLength(2);
  });
});
