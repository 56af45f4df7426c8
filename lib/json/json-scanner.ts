/**
 * Cuts a byte stream of JSON documents into the objects a snapshot consists of, in bounded memory.
 *
 * Understood, one after another, in any mix: `List`s (any object with an `items` array, nested too), arrays of objects,
 * single objects (also as JSON lines), and Netloom's own form (sections as in SECTIONS at the top).
 *
 * Own code and not a streaming parser, because of speed: over kubectl output @streamparser/json 0.0.26 made a fifth of what
 * this scan followed by JSON.parse of each object does: 276 MB/s on one core (bench/snapshot-load.ts). Only what
 * stands between objects is tokenised here; JSON.parse judges everything else.
 *
 * The window `buf` always begins at the first byte that is still needed: the start of the captured object, or of a token.
 */
import { findJsonFault } from './json-fault.ts';

/** Kubernetes refuses objects over 1.5 MB (etcd's limit); Netloom's own records are far smaller. */
export const MAX_OBJECT_BYTES = 16 * 1024 * 1024;
const MAX_NESTED_LISTS = 32;

export const SECTIONS = ['namespaces', 'nodes', 'pods', 'services', 'controllers'] as const;
export type Section = (typeof SECTIONS)[number];

export type ScanFault = 'syntax' | 'truncated' | 'too-large';

/** Where in the (decompressed) bytes the scan stopped and why. */
export class ScanError extends Error {
  readonly fault: ScanFault;
  readonly offset: number;
  readonly expected: string;
  readonly found: string;
  constructor(fault: ScanFault, offset: number, expected: string, found: string) {
    super(`expected ${expected}, found ${found}`);
    this.fault = fault;
    this.offset = offset;
    this.expected = expected;
    this.found = found;
  }
}

/** The scalar members of a document that say what it is. */
export interface DocumentHead {
  readonly kind?: unknown;
  readonly netloom?: unknown;
  readonly version?: unknown;
  /** Of a list, where it was asked for. */
  readonly metadata?: unknown;
}

export interface ScanOptions {
  /** Parse the metadata of the outermost object too. */
  readonly metadata?: boolean;
}

export interface ScanHandler {
  /** One object. `section` for Netloom's form; `impliedKind` "Pod" within a "PodList" whose kind was read before its items. */
  item(value: unknown, section: Section | undefined, impliedKind: string | undefined): void;
  /** A list or a document of Netloom's form has ended. */
  document(head: DocumentHead, sections: boolean): void;
}

interface ObjectFrame {
  readonly type: 'object';
  /** Whether sections may stand here: the document's own object, not an item of a list. */
  readonly root: boolean;
  readonly impliedKind: string | undefined;
  key: string;
  head: { kind?: unknown; netloom?: unknown; version?: unknown; metadata?: unknown };
  /** Its bytes are kept for JSON.parse, until it turns out to be a list. */
  captured: boolean;
  sections: boolean;
}
interface ArrayFrame {
  readonly type: 'array';
  readonly section: Section | undefined;
  readonly impliedKind: string | undefined;
  count: number;
}
type Frame = ObjectFrame | ArrayFrame;

const DOCUMENT = 0; // a document begins, or the file ends
const ELEMENT_OR_END = 1;
const ELEMENT = 2;
const ELEMENT_NEXT = 3; // , or ]
const KEY_OR_END = 4;
const KEY = 5;
const COLON = 6;
const VALUE = 7;
const MEMBER_NEXT = 8; // , or }
const EXPECTED: readonly string[] = [
  'a JSON object or array',
  'an object or ]',
  'an object',
  ', or ]',
  'a member name or }',
  'a member name',
  ':',
  'a value',
  ', or }',
];

const IN_NOTHING = 0;
const IN_KEY = 1;
const IN_SCALAR = 2; // number or literal
const IN_STRING = 3;
const IN_CONTAINER = 4; // an object or array that is not looked into

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
/** 0: of no interest within a container, 1: string begins, 2: opens, 3: closes. */
const CLASS = new Uint8Array(256);
CLASS[QUOTE] = 1;
CLASS[0x7b] = CLASS[0x5b] = 2;
CLASS[0x7d] = CLASS[0x5d] = 3;

function isSpace(c: number): boolean {
  return c === 0x20 || c === 0x0a || c === 0x0d || c === 0x09;
}

export class JsonScanner {
  private readonly handler: ScanHandler;
  private readonly options: ScanOptions;
  private readonly stack: Frame[] = [];
  private state = DOCUMENT;
  private token = IN_NOTHING;
  private buf: Buffer = Buffer.alloc(0);
  private spare: Buffer = Buffer.alloc(0);
  /** Offset in the stream of buf[0]. */
  private base = 0;
  private at = 0;
  /** Index of the captured object's first byte, and of the token's; -1: none. */
  private captureStart = -1;
  private tokenStart = -1;
  private depth = 0;
  private inString = false;
  private itemIndex = 0;

  constructor(handler: ScanHandler, options: ScanOptions = {}) {
    this.handler = handler;
    this.options = options;
  }

  /** Bytes consumed so far. */
  get offset(): number {
    return this.base + this.at;
  }

  write(chunk: Uint8Array): void {
    const keepFrom = this.captureStart >= 0 ? this.captureStart : this.tokenStart >= 0 ? this.tokenStart : this.at;
    const kept = this.buf.length - keepFrom;
    if (kept > MAX_OBJECT_BYTES) {
      throw new ScanError(
        'too-large',
        this.base + keepFrom,
        `objects of at most ${MAX_OBJECT_BYTES} bytes`,
        `one that is longer (${this.where()})`,
      );
    }
    const view = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    this.buf = kept === 0 ? view : this.joined(this.buf.subarray(keepFrom), view);
    this.base += keepFrom;
    this.at -= keepFrom;
    if (this.captureStart >= 0) this.captureStart -= keepFrom;
    if (this.tokenStart >= 0) this.tokenStart -= keepFrom;
    this.run();
  }

  /** One window of what is still needed and what is new, in memory that is used again and again. */
  private joined(kept: Buffer, view: Buffer): Buffer {
    const length = kept.length + view.length;
    const { spare } = this;
    // `kept` may lie in it: copy() moves what overlaps as it should.
    const window = spare.length >= length ? spare : Buffer.allocUnsafeSlow(2 * length);
    kept.copy(window, 0);
    view.copy(window, kept.length);
    this.spare = window;
    return window.subarray(0, length);
  }

  /** Says that no bytes follow. */
  end(): void {
    if (this.token === IN_SCALAR && this.stack.length === 0) this.fail(this.tokenStart);
    if (this.stack.length > 0 || this.token !== IN_NOTHING) {
      throw new ScanError(
        'truncated',
        this.base + this.buf.length,
        this.token === IN_NOTHING ? EXPECTED[this.state]! : 'the rest of a value',
        `the end of the file ${this.where()}`,
      );
    }
  }

  private where(): string {
    const frame = this.stack.findLast((f) => f.type === 'array');
    if (frame === undefined) return `in object ${this.itemIndex + 1}`;
    return `in ${frame.section ?? 'items'}[${Math.max(0, frame.count - 1)}]`;
  }

  private fail(index: number): never {
    throw new ScanError('syntax', this.base + index, EXPECTED[this.state]!, this.textAt(index));
  }

  private run(): void {
    const buf = this.buf;
    const n = buf.length;
    while (this.at < n) {
      if (this.token !== IN_NOTHING) {
        if (!this.continueToken()) return;
        continue;
      }
      const c = buf[this.at]!;
      if (isSpace(c)) this.at++;
      else this.structural(c);
    }
  }

  private structural(c: number): void {
    switch (this.state) {
      case DOCUMENT:
        if (c === 0x7b) return this.openObject(true, undefined);
        if (c === 0x5b) return this.openArray(undefined, undefined);
        return this.fail(this.at);
      case ELEMENT_OR_END:
      case ELEMENT:
        if (c === 0x5d && this.state === ELEMENT_OR_END) return this.closeArray();
        return this.openElement(c);
      case ELEMENT_NEXT:
        if (c === 0x5d) return this.closeArray();
        if (c !== 0x2c) this.fail(this.at);
        this.state = ELEMENT;
        this.at++;
        return;
      case KEY_OR_END:
      case KEY:
        if (c === 0x7d && this.state === KEY_OR_END) return this.closeObject();
        if (c !== QUOTE) this.fail(this.at);
        return this.beginToken(IN_KEY);
      case COLON:
        if (c !== 0x3a) this.fail(this.at);
        this.state = VALUE;
        this.at++;
        return;
      case VALUE:
        return this.openValue(c);
      default:
        if (c === 0x7d) return this.closeObject();
        if (c !== 0x2c) this.fail(this.at);
        this.state = KEY;
        this.at++;
    }
  }

  private beginToken(token: number): void {
    this.token = token;
    this.tokenStart = this.at;
    this.depth = 0;
    this.inString = false;
    if (token === IN_KEY || token === IN_STRING) this.at++;
  }

  private openElement(c: number): void {
    const frame = this.stack.at(-1) as ArrayFrame;
    frame.count++;
    if (c === 0x7b && frame.section === undefined) return this.openObject(false, frame.impliedKind);
    if (c === 0x7b || c === 0x5b) return this.beginToken(IN_CONTAINER);
    if (c === QUOTE) return this.beginToken(IN_STRING);
    if (c === 0x2c || c === 0x5d || c === 0x7d || c === 0x3a) this.fail(this.at);
    this.beginToken(IN_SCALAR);
  }

  private openValue(c: number): void {
    const frame = this.stack.at(-1) as ObjectFrame;
    if (c === 0x5b) {
      const section = frame.root ? SECTIONS.find((name) => name === frame.key) : undefined;
      if (section !== undefined || frame.key === 'items') {
        this.judgeHead(frame);
        frame.sections ||= section !== undefined;
        const kind = frame.head.kind;
        const implied = typeof kind === 'string' && /^.+List$/.test(kind) ? kind.slice(0, -4) : frame.impliedKind;
        return this.openArray(section, implied);
      }
    }
    if (c === 0x7b || c === 0x5b) return this.beginToken(IN_CONTAINER);
    if (c === QUOTE) return this.beginToken(IN_STRING);
    if (c === 0x2c || c === 0x7d || c === 0x5d || c === 0x3a) this.fail(this.at);
    this.beginToken(IN_SCALAR);
  }

  /** What stands before the items of a list was captured, and is not parsed with them. */
  private judgeHead(frame: ObjectFrame): void {
    if (!frame.captured) return;
    frame.captured = false;
    const head = Buffer.concat([this.buf.subarray(this.captureStart, this.at), Buffer.from('0}')]);
    const fault = findJsonFault(head, 0, head.length);
    if (fault !== undefined) {
      const at = this.captureStart + fault.at;
      throw new ScanError('syntax', this.base + at, fault.expected, this.textAt(at));
    }
    this.captureStart = -1;
  }

  private openObject(root: boolean, impliedKind: string | undefined): void {
    this.guardNesting();
    this.stack.push({ type: 'object', root, impliedKind, key: '', head: {}, captured: true, sections: false });
    this.captureStart = this.at;
    this.state = KEY_OR_END;
    this.at++;
  }

  private openArray(section: Section | undefined, impliedKind: string | undefined): void {
    this.guardNesting();
    this.stack.push({ type: 'array', section, impliedKind, count: 0 });
    this.state = ELEMENT_OR_END;
    this.at++;
  }

  private guardNesting(): void {
    if (this.stack.length < 2 * MAX_NESTED_LISTS) return;
    throw new ScanError('syntax', this.base + this.at, `lists nested at most ${MAX_NESTED_LISTS} deep`, 'deeper ones');
  }

  private closeArray(): void {
    this.stack.pop();
    this.at++;
    this.afterValue();
  }

  private closeObject(): void {
    const frame = this.stack.pop() as ObjectFrame;
    this.at++;
    if (frame.captured) {
      const start = this.captureStart;
      this.captureStart = -1;
      const value = this.parse(start, this.at);
      if (frame.root && frame.head.netloom !== undefined) this.handler.document(frame.head, true);
      else this.handler.item(value, undefined, frame.impliedKind);
      this.itemIndex++;
    } else {
      this.handler.document(frame.head, frame.sections);
    }
    this.afterValue();
  }

  private afterValue(): void {
    const parent = this.stack.at(-1);
    this.state = parent === undefined ? DOCUMENT : parent.type === 'array' ? ELEMENT_NEXT : MEMBER_NEXT;
  }

  /** Goes on within a token; false: the window ended first. */
  private continueToken(): boolean {
    switch (this.token) {
      case IN_KEY:
      case IN_STRING:
        if (!this.skipString()) return false;
        break;
      case IN_SCALAR:
        if (!this.skipScalar()) return false;
        break;
      default:
        if (!this.skipContainer()) return false;
    }
    this.finishToken();
    return true;
  }

  /** `at` stands behind the opening quote; true: it stands behind the closing one. */
  private skipString(): boolean {
    const buf = this.buf;
    const n = buf.length;
    let i = this.at;
    while (i < n) {
      const c = buf[i]!;
      if (c === QUOTE) {
        this.at = i + 1;
        return true;
      }
      // An escape that the window cuts in two is looked at again from its backslash.
      if (c === BACKSLASH) {
        if (i + 1 >= n) break;
        i++;
      }
      i++;
    }
    this.at = i;
    return false;
  }

  private skipScalar(): boolean {
    const buf = this.buf;
    let i = this.at;
    while (i < buf.length) {
      const c = buf[i]!;
      if (c === 0x2c || c === 0x7d || c === 0x5d || isSpace(c)) {
        this.at = i;
        return true;
      }
      i++;
    }
    this.at = i;
    return false;
  }

  private skipContainer(): boolean {
    const buf = this.buf;
    const n = buf.length;
    let i = this.at;
    let depth = this.depth;
    let inString = this.inString;
    while (i < n) {
      if (inString) {
        let c = 0;
        while (i < n && (c = buf[i]!) !== QUOTE && c !== BACKSLASH) i++;
        if (i >= n) break;
        if (c === BACKSLASH) {
          if (i + 1 >= n) break;
          i += 2;
          continue;
        }
        inString = false;
        i++;
        continue;
      }
      const kind = CLASS[buf[i]!]!;
      i++;
      if (kind === 0) continue;
      if (kind === 1) inString = true;
      else if (kind === 2) depth++;
      else if (--depth === 0) {
        this.at = i;
        return true;
      }
    }
    this.at = i;
    this.depth = depth;
    this.inString = inString;
    return false;
  }

  private finishToken(): void {
    const token = this.token;
    const start = this.tokenStart;
    const frame = this.stack.at(-1)!;
    this.token = IN_NOTHING;
    this.tokenStart = -1;
    if (frame.type === 'array') {
      this.handler.item(this.parse(start, this.at), frame.section, frame.impliedKind);
      this.itemIndex++;
    } else if (token === IN_KEY) {
      frame.key = this.parse(start, this.at) as string;
      this.state = COLON;
      return;
    } else if (token !== IN_CONTAINER && (frame.key === 'kind' || frame.key === 'netloom' || frame.key === 'version')) {
      frame.head[frame.key] = this.parse(start, this.at);
    } else if (frame.root && frame.key === 'metadata' && this.options.metadata === true) {
      frame.head.metadata = this.parse(start, this.at);
    } else if (!frame.captured) {
      this.parse(start, this.at);
    }
    this.afterValue();
  }

  private parse(start: number, end: number): unknown {
    const text = this.buf.toString('utf8', start, end);
    try {
      return JSON.parse(text) as unknown;
    } catch {
      const fault = findJsonFault(this.buf, start, end) ?? { at: start, expected: 'valid JSON' };
      throw new ScanError('syntax', this.base + fault.at, fault.expected, this.textAt(fault.at));
    }
  }

  private textAt(index: number): string {
    return JSON.stringify(this.buf.toString('utf8', index, Math.min(this.buf.length, index + 24)));
  }
}
