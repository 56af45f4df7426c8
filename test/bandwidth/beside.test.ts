import { expect, it } from 'vitest';
import { standingsBeside } from '../../bandwidth/enforce/beside.ts';
import { decided, told, view, type DecideSpec } from './decide-fixture.ts';

it('limits of another agent are told of the rows whose packets pass them', () => {
  const spec: DecideSpec = {
    pods: [
      { name: 'a', at: [10], egress: '8M', ingress: '8M' },
      { name: 'b', at: [11], egress: '8M', ingress: '8M' },
      { name: 'c', egress: '8M' },
    ],
  };
  const desired = decided(spec);
  const beside = (...ifindexes: number[]): string[] =>
    told({ ...desired, standings: standingsBeside(desired.standings, view(spec), new Set(ifindexes), 'others too') })
      .filter((line) => line.includes('others too'))
      .map((line) => line.replace(/:.*\((.*)\)/, ': $1'));
  expect(beside()).toEqual([]);
  expect(beside(10)).toEqual(['a egress: others too', 'a ingress: others too']);
  // The uplink: what is sent by those that have an interface.
  expect(beside(2)).toEqual(['a egress: others too', 'b egress: others too']);
});
