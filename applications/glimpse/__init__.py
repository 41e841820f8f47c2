"""Hard attention: a network that sees an image through a few small glimpses.

Where to look next is *drawn*, so no gradient flows through it: the score function teaches the
locator, backpropagation everything else, both through one `loss.backward()`.

Source: Mnih, Heess, Graves & Kavukcuoglu (2014), Recurrent Models of Visual Attention.
"""
