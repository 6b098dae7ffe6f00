import { describe, expect, it } from 'vitest'
import { en } from '../src/i18n/en'
import { zhCN } from '../src/i18n/zh-CN'

function keys(value: object, path = ''): string[] {
  return Object.entries(value).flatMap(([key, inner]) => (typeof inner === 'object' ? keys(inner, `${path}${key}.`) : [`${path}${key}`]))
}

describe('the words', () => {
  it('are the same set in both languages, also where any key may stand (reasons, codes, refusals)', () => {
    expect(keys(zhCN).sort()).toEqual(keys(en).sort())
  })

  it('are nowhere empty', () => {
    for (const dictionary of [en, zhCN]) {
      const texts = JSON.stringify(dictionary)
      expect(texts).not.toContain(':""')
    }
  })

  it('count in English as people do', () => {
    expect([1, 2, 3, 4, 11, 12, 13, 21, 22, 103, 111].map((count) => en.offer.thisMonth(count).split(' ')[0])).toEqual(
      ['1st', '2nd', '3rd', '4th', '11th', '12th', '13th', '21st', '22nd', '103rd', '111th'],
    )
    expect([en.offer.seconds(1), en.offer.seconds(2)]).toEqual(['1 second', '2 seconds'])
  })
})
