import { expect, test } from 'vitest';
import { silentLogger } from '../../lib/log.ts';
import type { ClusterRecord } from '../../scheduler/cluster/model.ts';
import { OddFields } from '../../scheduler/kubernetes/odd-fields.ts';
import { collectionOf } from '../../scheduler/kubernetes/resources.ts';

test('what of an object cannot be used is told once, and listed until it is corrected or gone', () => {
  const said: string[] = [];
  const odd = new OddFields({
    ...silentLogger,
    warn: (_text: string, fields?: { readonly object?: string }) => said.push(String(fields?.object)),
  });
  const namespaces = collectionOf({ path: '/api/v1/namespaces', kind: 'Namespace' }, (record, text) =>
    odd.see(record, text),
  );
  const see = (name: string, placement: string): ClusterRecord =>
    namespaces.project({ metadata: { name, labels: { 'netloom.io/placement': placement } } })!;
  const shop = see('shop', 'disabled');
  const text = 'Namespace shop: netloom.io/placement "disabled" is not "off", and changes nothing';
  expect(odd.all).toEqual([text]);
  see('shop', 'disabled');
  see('other', 'no');
  expect(said).toEqual([text]);
  expect(odd.all).toHaveLength(2);
  expect(see('other', 'OFF')).toMatchObject({ placementOff: true });
  expect(see('third', 'on')).toMatchObject({ placementOff: false });
  expect(odd.all).toEqual([text]);
  odd.changes([{ op: 'delete', record: shop }]);
  expect(odd.all).toEqual([]);
});
