"""Language models: section 4.4 of Santoro et al. 2018 (1806.01822), and small
ones."""

from launch.experiments.merging import Preset, merge


def wikitext2() -> Preset:
  """Predicts the words of WikiText-2, with a small LSTM, on two CPU cores.

  Paper: Santoro et al. 2018, arXiv 1806.01822, section 4.4 (its small sister).
  Data: text; WikiText-2 (wiki.train.tokens and so on, packed or unpacked).

  Notes:
    Sizes, window, batch, dropout, clipping and, for LSTMs, SGD at a rate of 20
    are the old defaults of PyTorch's example word_language_model, tied: 2
    layers of 200, 7.3 million parameters, test perplexity 110.44 after 6
    epochs, 87.17 after 40. An epoch has 2,984 updates; this is 6 of them. The
    example divides the rate by 4 when validation does not improve; here it
    falls along a cosine. Its dropout is drawn at each step, here once for a
    window. Other cores have Adam at 2e-3. It is far slower for the LSTM: with
    --optimizer=adam the validation perplexity after the first epoch was 277,
    without it 229.

    --core=rmc has as many parameters, and so has a Mogrifier LSTM:
    --core.hidden_size=144 --core.last_size=200 --core.num_rounds=6
    --core.rank=40.
  """
  return dict(
      task="text",
      task_args={"text": dict(name="wikitext2", tokens="words", num_steps=35)},
      encoder_args={"tokens": dict(output_size=200, dropout=.2)},
      core="awd_lstm",
      core_args={
          "awd_lstm": dict(hidden_size=200, num_layers=2, dropout=.2),
          "rmc": dict(num_slots=1, num_heads=4, head_size=50,
                      attention_mlp_layers=8),
      },
      head_args={"softmax": dict(tied=True, dropout=.2)},
      optimizer="adam",
      optimizer_args={"adam": dict(learning_rate=2e-3),
                      "sgd": dict(learning_rate=20.)},
      core_settings={"awd_lstm": dict(optimizer="sgd")},
      schedule="cosine",
      max_grad_norm=.25,
      steps=17_904,
      eval_every=2_984,
      batch_size=20,
  )


def shakespeare() -> Preset:
  """Predicts the characters of tiny Shakespeare, in minutes on two CPU cores.

  Paper: none; the text is that of A. Karpathy's char-rnn (2015).
  Data: text; tiny Shakespeare (input.txt).

  Notes:
    The last 10 % of the text are half validation, half test. An epoch has 491
    updates. A network soon knows the training text by heart, so this one is
    small, and has dropout.
  """
  return dict(
      task="text",
      task_args={"text": dict(name="shakespeare", tokens="characters",
                              num_steps=64)},
      encoder_args={"tokens": dict(output_size=64)},
      core="awd_lstm",
      core_args={
          "awd_lstm": dict(hidden_size=256, num_layers=2, dropout=.3),
          "rmc": dict(num_slots=1, num_heads=4, head_size=64),
      },
      head_args={"softmax": dict(dropout=.3)},
      optimizer="adam",
      optimizer_args={"adam": dict(learning_rate=4e-3)},
      schedule="cosine",
      max_grad_norm=1.,
      steps=4_900,
      eval_every=490,
      batch_size=32,
  )


def wikitext103_rmc() -> Preset:
  """Predicts the words of WikiText-103 with the paper's RMC of 2,500 units.

  Paper: Santoro et al. 2018, arXiv 1806.01822, section 4.4, Table 2.
  Data: text; WikiText-103 (wiki.train.tokens and so on, packed or unpacked).

  Notes:
    One memory of 2,500 units, 4 heads, an MLP of 5 layers, windows of 100
    words, Adam at 1e-3, gradients clipped to norm 0.1, batches of 384, an
    embedding of 512 with a dropout of 0.5: the paper's. It had 6 P100 GPUs.
    An epoch has 2,689 updates. On two CPU cores only --batch_size=1 or 2 and
    some updates are possible: there are 306 million parameters, and Adam has
    two more numbers for each.

    The paper's softmax is tied to the embedding; a tied head here needs an
    embedding as wide as the core's output, so this one is not tied. Its cutoffs
    are those of the Transformer-XL. The number of updates is not in the paper.
    The published test perplexity is 31.6.
  """
  return dict(
      task="text",
      task_args={"text": dict(name="wikitext103", tokens="words", num_steps=100,
                              vocabulary_from="train")},
      encoder_args={"tokens": dict(output_size=512, dropout=.5)},
      core="rmc",
      core_args={
          "rmc": dict(num_slots=1, num_heads=4, head_size=625,
                      attention_mlp_layers=5),
          "awd_lstm": dict(hidden_size=2048, num_layers=1),
      },
      head="adaptive_softmax",
      head_args={"adaptive_softmax": dict(cutoffs="20000,40000,200000")},
      optimizer="adam",
      optimizer_args={"adam": dict(learning_rate=1e-3)},
      max_grad_norm=.1,
      steps=100_000,
      log_every=10,
      eval_every=2_689,
      checkpoint_every=500,
      batch_size=384,
  )


def gutenberg_rmc() -> Preset:
  """Predicts the words of books with the paper's RMC of 2,500 units.

  Paper: Santoro et al. 2018, arXiv 1806.01822, section 4.4, Table 2.
  Data: text; Project Gutenberg (folders train, valid and test of .txt files).

  Notes:
    As `wikitext103_rmc`. The paper has 180 million words for training, and
    about 250,000 in its vocabulary. Its perplexities are 39.2 in validation
    and 42.0 in test. It does not list the books, so those of other books are
    not comparable. The most frequent words are kept, the others are `<unk>`. An
    epoch has 4,688 updates if there are as many words.
  """
  return merge(wikitext103_rmc(), dict(
      task_args={"text": dict(name="gutenberg", max_words=250_000)},
      eval_every=4_688,
  ))


def gigaword_rmc() -> Preset:
  """Predicts the words of GigaWord with the paper's RMC of 2,500 units.

  Paper: Santoro et al. 2018, arXiv 1806.01822, section 4.4, Tables 2 and 3.
  Data: text; GigaWord v5 (train.txt, valid.txt and test.txt, a sentence a
  line).

  Notes:
    As `gutenberg_rmc`. All 4 billion words take 16 GB on every device, so pass
    a part of them. The published test perplexity is 38.3: 28.3 over words that
    are more than 10,000 times in the training text, 3,100 from 1,000 to 10,000,
    and 69,000 below.
  """
  return merge(gutenberg_rmc(), dict(
      task_args={"text": dict(name="gigaword")},
      eval_every=10_000,
  ))
