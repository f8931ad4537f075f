# args: {"n": 3}
# result: [0, 1, 4]
import asyncio


async def square(n):
    await asyncio.sleep(0)
    return n * n


async def main(n: int):
    return list(await asyncio.gather(*(square(i) for i in range(n))))
