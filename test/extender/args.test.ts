import { describe, expect, test } from 'vitest';
import { candidateNames, parseArgs } from '../../scheduler/extender/args.ts';
import { MAX_CONTAINERS, MAX_NESTING, tooComplex } from '../../scheduler/extender/json-guard.ts';

const parse = (body: unknown) => parseArgs(Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)));

function args(body: unknown) {
  const parsed = parse(body);
  if ('reason' in parsed) throw new Error(parsed.reason);
  return parsed.args;
}

function reason(body: unknown): string | undefined {
  const parsed = parse(body);
  return 'reason' in parsed ? parsed.reason : undefined;
}

// k8s.io/kube-scheduler/extender/v1 types_test.go, TestCompatibility.
const GOLDEN =
  '{"Pod":{"metadata":{"name":"podname"},"spec":{"containers":null},"status":{}},"Nodes":{"metadata":{},"items":[{"metadata":{"name":"nodename"},"spec":{},"status":{"daemonEndpoints":{"kubeletEndpoint":{"Port":0}},"nodeInfo":{"machineID":"","systemUUID":"","bootID":"","kernelVersion":"","osImage":"","containerRuntimeVersion":"","kubeletVersion":"","kubeProxyVersion":"","operatingSystem":"","architecture":""}}}]},"NodeNames":["node1"]}';

// As kube-scheduler 1.37.2 sent it (control-plane.md §4.1).
const WIRE =
  '{"Pod":{"metadata":{"name":"wire-0","namespace":"default","uid":"89ae","resourceVersion":"307","generation":1,"creationTimestamp":"2026-11-23T06:22:25Z"},"spec":{"volumes":[{"name":"kube-api-access-jbc9x","projected":{"sources":[{"serviceAccountToken":{"expirationSeconds":3607,"path":"token"}},{"configMap":{"name":"kube-root-ca.crt","items":[{"key":"ca.crt","path":"ca.crt"}]}}],"defaultMode":420}}],"containers":[{"name":"c","image":"x","resources":{"requests":{"cpu":"100m"}}}]}},"Nodes":null,"NodeNames":["node-2","node-3"]}';

describe('what kube-scheduler sends', () => {
  test('the golden encoding, and the same in lower case', () => {
    for (const text of [GOLDEN, GOLDEN.toLowerCase(), GOLDEN.replace('"NodeNames"', '"nodeNames"')]) {
      const parsed = args(text);
      expect(parsed.pod.name).toBe('podname');
      expect(parsed.nodeNames).toEqual(['node1']);
      expect(parsed.nodes?.names).toEqual(['nodename']);
    }
  });

  test('a request from the wire, names only', () => {
    const parsed = args(WIRE);
    expect(parsed).toEqual({
      pod: {
        uid: '89ae',
        namespace: 'default',
        name: 'wire-0',
        controller: undefined,
        labels: {},
        inGroup: false,
        mirror: false,
        placementOff: false,
      },
      nodeNames: ['node-2', 'node-3'],
      nodes: undefined,
    });
    expect(candidateNames(parsed)).toEqual(['node-2', 'node-3']);
  });

  test('netloom.io/placement, as an annotation or as a label', () => {
    const off = (metadata: object): boolean => args({ Pod: { metadata } }).pod.placementOff;
    expect(off({ annotations: { 'netloom.io/placement': 'off' } })).toBe(true);
    expect(off({ labels: { 'netloom.io/placement': 'off' } })).toBe(true);
    for (const text of ['OFF', ' Off ']) expect(off({ labels: { 'netloom.io/placement': text } })).toBe(true);
    expect(off({ annotations: { 'netloom.io/placement': 'on' }, labels: { app: 'off' } })).toBe(false);
  });

  test('lists that are null, missing or empty', () => {
    expect(candidateNames(args({ Pod: {}, Nodes: null, NodeNames: null }))).toEqual([]);
    expect(candidateNames(args({ Pod: {} }))).toEqual([]);
    expect(candidateNames(args({ Pod: {}, NodeNames: [] }))).toEqual([]);
    expect(candidateNames(args({ Pod: {}, Nodes: { items: null } }))).toEqual([]);
  });

  test('names win over nodes where both came', () => {
    const both = { Pod: {}, Nodes: { items: [{ metadata: { name: 'a' } }] }, NodeNames: ['b'] };
    expect(candidateNames(args(both))).toEqual(['b']);
  });

  test('of one key in two spellings the later counts, as in Go', () => {
    expect(candidateNames(args('{"Pod":{},"NodeNames":["a"],"nodenames":["b"]}'))).toEqual(['b']);
    expect(candidateNames(args('{"Pod":{},"nodenames":["b"],"NodeNames":["a"]}'))).toEqual(['a']);
  });

  test('only the controlling owner counts, wherever it stands', () => {
    const owners = [
      { kind: 'Other', name: 'o' },
      { kind: 'ReplicaSet', name: 'rs', controller: true },
      { kind: 'ReplicaSet', name: 'second', controller: true },
    ];
    expect(args({ Pod: { metadata: { ownerReferences: owners } } }).pod.controller).toEqual({
      kind: 'ReplicaSet',
      name: 'rs',
    });
  });
});

describe('as Go decodes', () => {
  test('null stands for the zero value', () => {
    expect(args('{"Pod":{"metadata":null},"NodeNames":[null,"a"]}').nodeNames).toEqual(['', 'a']);
    expect(args('{"Pod":{"metadata":{"labels":null,"ownerReferences":[null],"uid":null}}}').pod.uid).toBe('');
    expect(args('{"Pod":{},"Nodes":{"items":[null,{"metadata":null}]}}').nodes?.names).toEqual(['', '']);
  });
  test('of two equal keys the later one counts', () => {
    expect(args('{"Pod":{},"NodeNames":["a"],"NodeNames":["b"]}').nodeNames).toEqual(['b']);
  });
  test('unknown keys are ignored, also those that JavaScript treats specially', () => {
    const text =
      '{"__proto__":{"NodeNames":["evil"],"polluted":1},"constructor":{"prototype":{"polluted":1}},"Pod":{"__proto__":{"metadata":{"name":"evil"}},"metadata":{"labels":{"__proto__":"x"},"annotations":{"__proto__":{"kubernetes.io/config.mirror":"x"}}}}}';
    const parsed = args(text);
    expect(parsed.pod.name).toBe('');
    expect(parsed.nodeNames).toBeUndefined();
    expect(parsed.pod.mirror).toBe(false);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });
  test('invalid UTF-8 becomes the replacement character, lone surrogates stay one name', () => {
    const bytes = Buffer.concat([Buffer.from('{"Pod":{},"NodeNames":["a'), Buffer.from([0xff]), Buffer.from('"]}')]);
    expect(args(bytes.toString('utf8')).nodeNames).toEqual(['a\ufffd']);
    expect(args('{"Pod":{},"NodeNames":["\\ud800"]}').nodeNames).toEqual(['\ud800']);
  });
});

describe('no ExtenderArgs', () => {
  test.each([
    ['', 'empty'],
    ['{', 'not JSON'],
    ['{"Pod":{}} trailing', 'not JSON'],
    ['\ufeff{"Pod":{}}', 'not JSON'],
    ['null', 'found null'],
    ['[]', 'found an array'],
    ['"x"', 'found string'],
    ['7', 'found number'],
    ['{}', 'Pod: expected an object, found nothing'],
    ['{"Pod":null}', 'Pod: expected an object, found null'],
    ['{"Pod":[]}', 'Pod: expected an object, found an array'],
    ['{"Pod":{},"NodeNames":"a"}', 'NodeNames: expected an array'],
    ['{"Pod":{},"NodeNames":{"0":"a"}}', 'NodeNames: expected an array'],
    ['{"Pod":{},"NodeNames":[1]}', 'NodeNames[]: expected a string'],
    ['{"Pod":{},"Nodes":[]}', 'Nodes: expected an object'],
    ['{"Pod":{},"Nodes":{"items":{}}}', 'Nodes.items: expected an array'],
    ['{"Pod":{},"Nodes":{"items":["a"]}}', 'Nodes.items[]: expected an object'],
    ['{"Pod":{},"Nodes":{"items":[{"metadata":{"name":7}}]}}', 'Nodes.items[].metadata.name'],
    ['{"Pod":{"metadata":[]}}', 'Pod.metadata'],
    ['{"Pod":{"metadata":{"ownerReferences":{}}}}', 'Pod.metadata.ownerReferences'],
    ['{"Pod":{"metadata":{"ownerReferences":[{"controller":"yes"}]}}}', 'controller'],
    ['{"Pod":{"metadata":{"labels":"a=b"}}}', 'Pod.metadata.labels'],
  ])('%s', (text, expected) => expect(reason(text)).toContain(expected));
});

describe('bodies that would cost too much to parse', () => {
  const deep = (n: number) => '['.repeat(n) + ']'.repeat(n);

  test('nesting is refused in large bodies, and in small ones that would be written out again', () => {
    expect(reason('['.repeat(600_000))).toContain(`nest deeper than ${MAX_NESTING}`);
    expect(reason(`{"Pod":{},"Nodes":{"items":[{"x":${deep(20_000)}}]}}`)).toContain('nest deeper');
    expect(reason(`{"Pod":{"x":${deep(20_000)}},"NodeNames":["a"]}`)).toBeUndefined();
  });
  test('millions of arrays and objects are refused', () => {
    expect(reason(`{"Pod":{"x":[${'{},'.repeat(MAX_CONTAINERS)}0]}}`)).toContain(`more than ${MAX_CONTAINERS}`);
  });
  test('brackets and commas within strings do not count, escapes do not end a string', () => {
    expect(tooComplex(Buffer.from(JSON.stringify({ a: '['.repeat(2000), b: '\\"[['.repeat(1000) })))).toBeUndefined();
    expect(tooComplex(Buffer.from('"unterminated [[['))).toBeUndefined();
  });
});
