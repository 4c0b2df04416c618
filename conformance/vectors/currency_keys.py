"""Currency keys for vectors and tests. Chapter: ``spec/credits.md``.

The two oldest are published elsewhere. ``OTHER_1024``, ``KEY_3072``, ``KEY_4096`` and ``OTHER_2048`` were made once by
``generate_private_key(bits, random=coin_source(f"blind-rsa.key-{bits}", "primes"))`` (``OTHER_1024`` from
``blind-rsa.other-1024``), which takes about a minute for
the largest, and are kept here so that nobody has to wait. They are public: no money may ever hang on them.
"""

from __future__ import annotations

from openpcc_ref.credits.rsa_keys import PrivateKey


def _number(hexadecimal: str) -> int:
    return int(hexadecimal, 16)


DEPLOYED_1024 = PrivateKey(
    _number(
        "f42dc576d52f5e9de6e298d350bd65a6a515dcc84c8be4d88501da38efadae4772f5e48a44bd35f896b55c3cfbc4dbcf799f"
        "fd99b18ae36def0c56b344850f8b"
    ),
    _number(
        "ecab7e75c1b22db611f100fc35460349f6151c4c1349c32ba2e78ff2522a94ed71cf5dc49e0b37c62c99636214d0a9f03025"
        "c1374f7b4449efd4d821697793ff"
    ),
)
"""The development key that all published services share."""

OTHER_1024 = PrivateKey(
    _number(
        "dd6748052c75305aac5deab1bc44643e887ce594db3b9a7c3c4edd26da0139d9d9d28debf813d57e0353d02174a342b5539c"
        "2851b112c5209fa00c0daa4bc527"
    ),
    _number(
        "e86c706e176f60804c321e4591fc0c2c87d2ea728f5301f1083c32ef5a2a4f7310b318de4fb780fc246c529f2469c0f6a477"
        "0e3d13f902cacc698b5ac20fed5b"
    ),
)
"""Ours; a stranger to whoever uses the development key."""

DRAFT_2048 = PrivateKey(
    _number(
        "dcd90af1be463632c0d5ea555256a20605af3db667475e190e3af12a34a3324c46a3094062c59fb4b249e0ee6afba8bee14e"
        "0276d126c99f4784b23009bf6168ff628ac1486e5ae8e23ce4d362889de4df63109cbd90ef93db5ae64372bfe1c55f832766"
        "f21e94ea3322eb2182f10a891546536ba907ad74b8d72469bea396f3"
    ),
    _number(
        "f8ba5c89bd068f57234a3cf54a1c89d5b4cd0194f2633ca7c60b91a795a56fa8c8686c0e37b1c4498b851e3420d08bea29f7"
        "1d195cfbd3671c6ddc49cf4c1db5b478231ea9d91377ffa98fe95685fca20ba4623212b2f2def4da5b281ed0100b651f6db3"
        "2112e4017d831c0da668768afa7141d45bbc279f1e0f8735d74395b3"
    ),
)
"""The key of the test vectors in draft-irtf-cfrg-partially-blind-rsa."""

OTHER_2048 = PrivateKey(
    _number(
        "c1ab74ebc11bcc8024fafd1078799fbf2778d83c1d6630a4e6a1e064dd99071a0c14be307ea0458af7c00a5e638156c0e86b"
        "44a0e72cdbc53765e69b713c9c8c499491f54028208e833a01c7884fccf6431653962ad8cde9f18c7bf8f70ff32677788c0e"
        "fd06b3da4562a42ceb1e2560b061c90de66e4e34ebde9f39cbd22ae7"
    ),
    _number(
        "e9ea477df6f37d9069d3fdeaead2ef88d5e3b3d33fed54d1d5128115f10f171d57b0e00cbba13b0570460cb3ec83ece83e71"
        "e8ef8a8ba503e2199d448fc80227b7b45730ab9442d0fa621e71996569d639dbac061fbd82b22ceeb7d45eab26193685afc6"
        "7d31f11aced81a2afd1039f6fe981d042dc4587c5cd9a44ebe54f97b"
    ),
)
"""Ours."""

KEY_3072 = PrivateKey(
    _number(
        "e99ae2dbdfa516c4454c98149326c616f41c598981c3b1735de01f75f9c99f2c81c3bc4f6e1f56b049ef6ee3f4eaae21b0f8"
        "19aae7462d35c20adb43014365a07fcecfd02c33c16d8a78ae9759ab8c63d646d89c0a52818b42e9a43ac11e62a5a1d80e7d"
        "7241b0ad67a973c8bb0843944e8d0af289849aa0ebf06f2bd52670946a78a142e916b0d2883537430a02ce66aa3f4ae5ae27"
        "711b60773009990dc1dbaaeffe029ada6d71130217cdcbe5d032f9bc112dd26a75e4d4e3bb6add7fc273"
    ),
    _number(
        "c3371f22a37af51826942bd377c01535d8c41d779e1a0f4c38afd3e44dc38cf467d53a5808c1cccbe6a3b021493f41165a2b"
        "7d6dff692e0e2860dec003c7c32247202323f1868f4ef730fed5037b632af74b418debfeca3c73f662ea6fb41c4a7c389d64"
        "c1e3b95639098c3f3253fae5ce4e8ee541693c3e499b1707d65224dedf98fb87fdb36e8ddf7c6ccc766250ab89dc689c8027"
        "617524df96cad4fed027d0f5307c550ae9e5807e24a751d35391d017a5b272d50c74fa48325b09b00bdb"
    ),
)
"""Ours; of a length that no currency key may have."""

KEY_4096 = PrivateKey(
    _number(
        "d02042f0496d77dc018fac39a2acd1aad7af2ae7ab953c10d4c9b99bf6ad35aef35877e05fefaf9d748058217346aab3080c"
        "e0828a8dc82f1467c1843b4614aa322a9b5504eec8d82e2c0e9b348585c6bb6c171a3efc64f4a808d29a862c28055260940b"
        "17a674d3d035f8c7993f01a7308a20b3e133a9caa8236d8e751daf4e1de595c716626ab5d98d3c3523996a084723a7ac06c0"
        "e56afb2a495bcf06d65aaa2794a9fa4b9de15998e8a1b04921e3bcb1752839847870ccaa63e154601e34feb5df2a8c99de58"
        "b71892162d1354ad606157d578807209eac99eb67b51ca6aeda1c64b4aeb492c5c237205e0ef6d067b8aedc4690b8bd66fe9"
        "f96aaf169c57"
    ),
    _number(
        "e488fa53b971c9e82624ffbc90c7d2e7a114977ff84777b3d856012be47ce9278c4cce2cb1b1805e74c07d6f0e39a83d3b7b"
        "60a082d3e73dcc1c0801eae8d715b82e4e451418a69c0b35e17aaf97176c38089049c59b62245771c21552c97162f14a0f3e"
        "0cf9aaba0ebc54f3e1062b2ae8a842c0ec5e7246fafbfddc39411af7bcc031a1b2566834e34ed6a74288ccfc4aa12e9126d0"
        "66ceadeb5c5835c350a67635557b93c1a12ca2477c14a8fc64f3b5007e5f932a9d17047de7510fa0233365bd4e0a89340f46"
        "b13eeb7dff033f7b1f3d44a8feee614743dd5e7ee1636c235d721bc49df090223d8edd1525812f312cd40a6e288a369cb56d"
        "c8d8fb2d399b"
    ),
)
"""Ours."""
